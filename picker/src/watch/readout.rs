//! The last readings of an endpoint, of each source one, and why figures in them are unknown.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use picker_core::column::Column;
use picker_core::scrape::SourceId;
use picker_core::view::{Reading, Signals};
use smallvec::SmallVec;

use crate::scrape::outcome::{Failure, Page};

/// A figure that a page of metrics tells of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Tokens per KV-cache block.
    BlockSize,
    /// KV-cache blocks.
    Blocks,
    /// LoRA adapters.
    Lora,
    /// Models.
    Models,
    /// The number in a column.
    Number(Column),
}

impl Figure {
    /// The column that it is a part of.
    pub fn column(self) -> Column {
        match self {
            Self::BlockSize | Self::Blocks => Column::CACHE_CONFIG,
            Self::Lora => Column::LORA,
            Self::Models => Column::MODELS,
            Self::Number(column) => column,
        }
    }
}

/// Why a figure is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The reason, for people.
    pub reason: String,
    /// Since when that is so.
    pub since: Instant,
}

/// The last readings of an endpoint. Written by the tasks that scrape it, of each source one.
#[derive(Debug)]
pub struct Readout(Mutex<State>);

#[derive(Debug)]
struct State {
    /// When the endpoint came.
    created: Instant,
    /// What was read of each source.
    parts: SmallVec<[Part; 1]>,
    /// Whether it is known which sources there are. Then a task that has not ended yet tells nothing of another.
    followed: bool,
    /// Since when its load is doubted.
    doubted: Option<Instant>,
}

/// What was read of one source.
#[derive(Debug)]
struct Part {
    source: SourceId,
    /// Since when it is scraped.
    created: Instant,
    reading: Reading,
    /// How long the reading counts, where this is longer than others do.
    good_for: Duration,
    /// Whether the page of the reading was cut.
    cut: bool,
    /// When the first page was read.
    first: Option<Instant>,
    /// When a page last told each figure that was ever told.
    told: Vec<(Figure, Instant)>,
    /// Why the last scrape failed, and since when scrapes fail.
    failing: Option<(String, Instant)>,
}

impl Part {
    fn new(source: SourceId, created: Instant) -> Self {
        Self {
            source,
            created,
            reading: Reading::default(),
            good_for: Duration::ZERO,
            cut: false,
            first: None,
            told: Vec::new(),
            failing: None,
        }
    }

    /// When it was read for a view that believes what is up to `stale_after` old: a reading that counts for longer is as
    /// much newer.
    fn at(&self, stale_after: Duration) -> Option<Instant> {
        let longer = self.good_for.saturating_sub(stale_after);
        self.reading.at.map(|at| at + longer)
    }

    fn record(&mut self, outcome: Result<Page, &Failure>, at: Instant, good_for: Duration) {
        match outcome {
            Ok(Page { signals, cut }) => {
                for figure in figures(&signals) {
                    match self.told.iter_mut().find(|(told, _)| *told == figure) {
                        Some((_, last)) => *last = at,
                        None => self.told.push((figure, at)),
                    }
                }
                self.first.get_or_insert(at);
                self.reading = Reading { signals, at: Some(at) };
                (self.cut, self.good_for, self.failing) = (cut, good_for, None);
            }
            Err(failure) => {
                let since = self.failing.take().map_or(at, |(_, since)| since);
                self.failing = Some((failure.cause(), since));
                self.good_for = Duration::ZERO;
            }
        }
    }

    fn attempted(&self) -> bool {
        self.first.is_some() || self.failing.is_some()
    }
}

impl Default for Readout {
    fn default() -> Self {
        Self(Mutex::new(State {
            created: Instant::now(),
            parts: SmallVec::new(),
            followed: false,
            doubted: None,
        }))
    }
}

impl Readout {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sources that are scraped from now on, in the order in which they count. What was read of others is forgotten.
    pub fn follow(&self, sources: impl Iterator<Item = SourceId>, now: Instant) {
        let mut state = self.state();
        state.followed = true;
        let mut known = std::mem::take(&mut state.parts);
        let created = if known.is_empty() { state.created } else { now };
        state.parts = sources
            .map(|source| match known.iter().position(|part| part.source == source) {
                Some(place) => known.swap_remove(place),
                None => Part::new(source, created),
            })
            .collect();
    }

    /// Records the outcome of a scrape of `source` that ended `at`, whose reading counts for `good_for` at least. After a
    /// failure, the reading before it stands until it is stale.
    pub fn record(&self, source: SourceId, outcome: Result<Page, &Failure>, at: Instant, good_for: Duration) {
        let mut state = self.state();
        let known = state.parts.iter().position(|part| part.source == source);
        if known.is_none() && state.followed {
            return;
        }
        let place = known.unwrap_or_else(|| {
            let part = Part::new(source, state.created);
            state.parts.push(part);
            state.parts.len() - 1
        });
        state.parts[place].record(outcome, at, good_for);
    }

    /// The last readings of all sources together, with the time of the newest.
    pub fn reading(&self) -> Reading {
        let mut all = Reading::default();
        for part in &self.state().parts {
            all.signals.join(part.reading.signals.clone());
            all.at = all.at.max(part.reading.at);
        }
        all
    }

    /// The last readings of all sources together, as a view takes them at `now` that believes what is up to `stale_after` old;
    /// and the age of the oldest, if all are that new. Of several sources, what is too old is left out.
    pub fn reading_for(&self, stale_after: Duration, now: Instant) -> (Reading, Option<Duration>) {
        let state = self.state();
        let fresh = |part: &Part| {
            part.at(stale_after).is_some_and(|at| now.saturating_duration_since(at) <= stale_after)
        };
        let ages = state
            .parts
            .iter()
            .map(|part| part.reading.at.filter(|_| fresh(part)).map(|at| now.saturating_duration_since(at)));
        let age = ages.collect::<Option<SmallVec<[Duration; 4]>>>().and_then(|ages| ages.into_iter().max());
        if let [part] = &*state.parts {
            let Reading { signals, .. } = &part.reading;
            return (Reading { signals: signals.clone(), at: part.at(stale_after) }, age);
        }
        let mut all = Reading::default();
        for part in &state.parts {
            let Reading { signals, .. } = &part.reading;
            if fresh(part) {
                all.signals.join(signals.clone());
                all.at = all.at.max(part.at(stale_after));
            } else {
                all.signals.join(signals.lasting());
            }
        }
        (all, age)
    }

    /// Whether the load that it tells is doubted, at `now`.
    pub fn doubt(&self, doubted: bool, now: Instant) {
        let mut state = self.state();
        state.doubted = doubted.then(|| state.doubted.unwrap_or(now));
    }

    /// Whether a scrape of each source is over, well or not.
    pub fn attempted(&self) -> bool {
        let state = self.state();
        !state.parts.is_empty() && state.parts.iter().all(Part::attempted)
    }

    /// Why `figure`, which `source` tells, is not known now.
    pub fn why_unknown(&self, source: SourceId, figure: Figure) -> Unknown {
        let state = self.state();
        let unknown = |reason: &str, since| Unknown { reason: reason.to_owned(), since };
        let Some(part) = state.parts.iter().find(|part| part.source == source) else {
            return unknown("not scraped yet", state.created);
        };
        if let Some((cause, since)) = &part.failing {
            return unknown(cause, *since);
        }
        let (Some(first), Some(at)) = (part.first, part.reading.at) else {
            return unknown("not scraped yet", part.created);
        };
        let told = part.told.iter().find(|(told, _)| *told == figure).map(|(_, last)| *last);
        let load = [Column::WAITING, Column::RUNNING, Column::KV_USAGE].map(Figure::Number);
        if let Some(since) = state.doubted.filter(|_| load.contains(&figure)) {
            return unknown("does not move while others do", since);
        }
        match told {
            Some(last) if last == at => unknown("too old", at),
            told if part.cut => {
                unknown("page too large: not in the part of it that is read", told.unwrap_or(first))
            }
            told => unknown("series absent", told.unwrap_or(first)),
        }
    }
}

/// What of `signals` is known.
fn figures(signals: &Signals) -> impl Iterator<Item = Figure> {
    let Signals { waiting, running, kv_usage, block_size, num_blocks, cache_tokens: _, lora, models, others } =
        signals;
    let known = [
        (waiting.is_some(), Figure::Number(Column::WAITING)),
        (running.is_some(), Figure::Number(Column::RUNNING)),
        (kv_usage.is_some(), Figure::Number(Column::KV_USAGE)),
        (block_size.is_some(), Figure::BlockSize),
        (num_blocks.is_some(), Figure::Blocks),
        (lora.is_some(), Figure::Lora),
        (models.is_some(), Figure::Models),
    ];
    let known = known.into_iter().filter_map(|(known, figure)| known.then_some(figure));
    known.chain(others.iter().map(|(column, _)| Figure::Number(*column)))
}

#[cfg(test)]
mod tests;
