//! The last reading of an endpoint, and why figures in it are unknown.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use picker_core::column::Column;
use picker_core::view::{Reading, Signals};

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
    /// The number in a column.
    Number(Column),
}

impl Figure {
    /// The column that it is a part of.
    pub fn column(self) -> Column {
        match self {
            Self::BlockSize | Self::Blocks => Column::CACHE_CONFIG,
            Self::Lora => Column::LORA,
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

/// The last reading of an endpoint. Written by the one task that scrapes it.
#[derive(Debug)]
pub struct Readout(Mutex<State>);

#[derive(Debug)]
struct State {
    /// When the endpoint came.
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
    /// Since when its load is doubted.
    doubted: Option<Instant>,
}

impl Default for Readout {
    fn default() -> Self {
        Self(Mutex::new(State {
            created: Instant::now(),
            reading: Reading::default(),
            good_for: Duration::ZERO,
            cut: false,
            first: None,
            told: Vec::new(),
            failing: None,
            doubted: None,
        }))
    }
}

impl Readout {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the outcome of a scrape that ended `at`, whose reading counts for `good_for` at least. After a failure, the
    /// reading before it stands until it is stale.
    pub fn record(&self, outcome: Result<Page, &Failure>, at: Instant, good_for: Duration) {
        let mut state = self.state();
        match outcome {
            Ok(Page { signals, cut }) => {
                for figure in figures(&signals) {
                    match state.told.iter_mut().find(|(told, _)| *told == figure) {
                        Some((_, last)) => *last = at,
                        None => state.told.push((figure, at)),
                    }
                }
                state.first.get_or_insert(at);
                state.reading = Reading { signals, at: Some(at) };
                (state.cut, state.good_for, state.failing) = (cut, good_for, None);
            }
            Err(failure) => {
                let since = state.failing.take().map_or(at, |(_, since)| since);
                state.failing = Some((failure.cause(), since));
                state.good_for = Duration::ZERO;
            }
        }
    }

    /// The last reading.
    pub fn reading(&self) -> Reading {
        self.state().reading.clone()
    }

    /// When the last page was read.
    pub fn reading_at(&self) -> Option<Instant> {
        self.state().reading.at
    }

    /// The last reading as a view takes it that believes what is up to `stale_after` old: one that counts for longer is as
    /// much newer.
    pub fn reading_for(&self, stale_after: Duration) -> Reading {
        let state = self.state();
        let longer = state.good_for.saturating_sub(stale_after);
        let Reading { signals, at } = &state.reading;
        Reading { signals: signals.clone(), at: at.map(|at| at + longer) }
    }

    /// Whether the load that it tells is doubted, at `now`.
    pub fn doubt(&self, doubted: bool, now: Instant) {
        let mut state = self.state();
        state.doubted = doubted.then(|| state.doubted.unwrap_or(now));
    }

    /// Whether a scrape is over, well or not.
    pub fn attempted(&self) -> bool {
        let state = self.state();
        state.first.is_some() || state.failing.is_some()
    }

    /// Why `figure` is not known now.
    pub fn why_unknown(&self, figure: Figure) -> Unknown {
        let state = self.state();
        let unknown = |reason: &str, since| Unknown { reason: reason.to_owned(), since };
        if let Some((cause, since)) = &state.failing {
            return unknown(cause, *since);
        }
        let (Some(first), Some(at)) = (state.first, state.reading.at) else {
            return unknown("not scraped yet", state.created);
        };
        let told = state.told.iter().find(|(told, _)| *told == figure).map(|(_, last)| *last);
        let load = [Column::WAITING, Column::RUNNING, Column::KV_USAGE].map(Figure::Number);
        if let Some(since) = state.doubted.filter(|_| load.contains(&figure)) {
            return unknown("does not move while others do", since);
        }
        match told {
            Some(last) if last == at => unknown("too old", at),
            told if state.cut => {
                unknown("page too large: not in the part of it that is read", told.unwrap_or(first))
            }
            told => unknown("series absent", told.unwrap_or(first)),
        }
    }
}

/// What of `signals` is known.
fn figures(signals: &Signals) -> impl Iterator<Item = Figure> {
    let Signals { waiting, running, kv_usage, block_size, num_blocks, cache_tokens: _, lora, others } =
        signals;
    let known = [
        (waiting.is_some(), Figure::Number(Column::WAITING)),
        (running.is_some(), Figure::Number(Column::RUNNING)),
        (kv_usage.is_some(), Figure::Number(Column::KV_USAGE)),
        (block_size.is_some(), Figure::BlockSize),
        (num_blocks.is_some(), Figure::Blocks),
        (lora.is_some(), Figure::Lora),
    ];
    let known = known.into_iter().filter_map(|(known, figure)| known.then_some(figure));
    known.chain(others.iter().map(|(column, _)| Figure::Number(*column)))
}

#[cfg(test)]
mod tests;
