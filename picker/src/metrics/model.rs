//! The model of a routed request, from its decision to the end of its answer.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::distribution::Scale;
use super::reason::Reason;
use super::requests::{NAME, Requests, Row};
use super::series::{Arrivals, Asked, Series, Times};
use super::tokens::Tokens;

/// The model of a routed request, kept while that is under way: what the answer is and took is known later. When it is
/// dropped, the request is counted, if it was not yet.
#[derive(Debug)]
pub struct Model {
    place: Place,
    /// Bytes of the request's body, if it has one and they are known.
    sent: Option<NonZeroU64>,
    counted: bool,
}

/// Where a request is counted.
#[derive(Debug)]
enum Place {
    Known(Arc<Row>, Arc<Series>),
    /// There is no row or no series of its own yet: whether there will be depends on the answer.
    New(Box<New>),
}

#[derive(Debug)]
struct New {
    requests: Requests,
    row: Option<Arc<Row>>,
    model: Box<str>,
    objective: Box<str>,
    priority: i32,
}

impl Requests {
    /// A request was routed. It is counted with its answer's status.
    pub fn routed<'a>(&self, asked: impl Into<Asked<'a>>) -> Model {
        let asked = asked.into();
        let row = match self.row_of(asked) {
            Ok(row) => row,
            Err(model) => return Model::new(self, None, model, asked),
        };
        match row.find(asked) {
            Some(series) => {
                launched(&series);
                Model { place: Place::Known(row, series), sent: None, counted: false }
            }
            None => {
                let model = asked.model.unwrap_or_default();
                Model::new(self, Some(row), &model[..model.floor_char_boundary(NAME)], asked)
            }
        }
    }
}

impl Model {
    /// Of a request whose `row` or series there is not yet; `model` is as a label has it.
    fn new(requests: &Requests, row: Option<Arc<Row>>, model: &str, asked: Asked<'_>) -> Self {
        let new = New {
            requests: requests.clone(),
            row,
            model: model.into(),
            objective: asked.objective.into(),
            priority: asked.priority,
        };
        Self { place: Place::New(Box::new(new)), sent: None, counted: false }
    }

    /// The body of the request has so many bytes.
    pub fn sent(&mut self, bytes: u64) {
        self.sent = NonZeroU64::new(bytes);
    }

    /// The head of the answer has come, with this status. Only the first one counts.
    pub fn answered(&mut self, status: Option<u16>) {
        if std::mem::replace(&mut self.counted, true) {
            return;
        }
        let served = status.is_some_and(|status| (200..300).contains(&status));
        let sent = self.sent;
        let (row, series) = self.place(served);
        row.routed.count(status);
        if served {
            row.was_served();
        }
        if status.is_some_and(|status| status >= 400) {
            series.failed(Reason::Routed);
        }
        if let Some(bytes) = sent {
            series.request_bytes.observe(&Scale::BYTES, bytes.get());
        }
    }

    /// The first byte of an answer with a status of 2xx came `after` the request was complete.
    pub fn began(&mut self, after: Duration, streaming: bool) {
        self.place(false).1.began(after, streaming);
    }

    /// Counts the times between arrivals of its stream.
    pub fn arrived(&mut self, arrivals: &mut Arrivals) {
        arrivals.count(self.place(false).1);
    }

    /// Counts the tokens of an answer.
    pub fn took(&mut self, tokens: Tokens) {
        let (row, series) = self.place(false);
        row.tokens.add(tokens);
        series.took(tokens);
    }

    /// An answer with a status of 2xx has ended, of so many bytes; `tokens` where it says how many it has.
    pub fn ended(&mut self, times: Times, bytes: u64, tokens: Option<Tokens>) {
        self.place(false).1.ended(times, bytes, tokens);
    }

    /// Where it is counted; `served` says whether the pool is known to have the model.
    fn place(&mut self, served: bool) -> (&Row, &Series) {
        if let Place::New(new) = &self.place {
            let New { requests, row, model, objective, priority } = &**new;
            let asked = Asked { model: Some(model), objective, priority: *priority };
            let row = row.clone().unwrap_or_else(|| requests.new_row(model, served));
            let series = requests.series(&row, asked, served);
            launched(&series);
            self.place = Place::Known(row, series);
        }
        match &self.place {
            Place::Known(row, series) => (row, series),
            Place::New(new) => new.requests.rest(),
        }
    }
}

fn launched(series: &Series) {
    series.routed.fetch_add(1, Ordering::Relaxed);
    series.running.fetch_add(1, Ordering::Relaxed);
}

impl Drop for Model {
    fn drop(&mut self) {
        self.answered(None);
        if let Place::Known(_, series) = &self.place {
            series.running.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
