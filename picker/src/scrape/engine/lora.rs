//! The LoRA adapters of vLLM, which are labels of a series whose value is the Unix time when it was last written. vLLM makes
//! a new series for each combination and never takes one back, so the one that was written last is the truth.
//!
//! A server with several API servers adds up what each of them writes (`multiprocess_mode="sum"`): values are sums of
//! times then, and the largest says nothing. What was written since the page before is the truth there, of all API
//! servers together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use picker_core::view::LoraState;

use super::series::hash;
use crate::scrape::labels::Labels;

/// The most adapters, running or waiting, that a server is believed to have.
const MOST: usize = 1024;

/// The most series of adapters that are remembered from one page to the next.
const SERIES: usize = 1024;

/// A Unix time in the year 2052: what is later is the sum of several times.
const LATEST: f64 = 2.6e9;

/// What the series of one page say.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// The one with the largest value, and its value; no state where it names too many adapters.
    newest: Option<(f64, Option<LoraState>)>,
    /// All that were written since the page before; `None` when nothing was, or when they name too many adapters.
    written: Option<Written>,
    /// Whether something was written since then.
    changed: bool,
    /// Whether values are sums of times.
    summed: bool,
    /// The value of each, by a hash of its labels.
    series: BTreeMap<u64, f64>,
}

/// What is remembered from one page to the next.
#[derive(Debug, Default)]
pub(super) struct History {
    series: BTreeMap<u64, f64>,
    state: Option<Arc<LoraState>>,
}

impl Page {
    /// Adds the series with `labels`, which was written at `time`.
    pub fn add(&mut self, labels: &Labels<'_>, time: f64, history: &History) {
        let key = labels.iter().fold(0_u64, |key, (name, value)| key.wrapping_add(hash(name, value)));
        self.summed |= time > LATEST;
        if !history.series.is_empty() && history.series.get(&key) != Some(&time) {
            let first = !std::mem::replace(&mut self.changed, true);
            let so_far = if first { Some(Written::default()) } else { self.written.take() };
            self.written = so_far.and_then(|written| written.and(labels));
        }
        if self.series.len() < SERIES {
            self.series.entry(key).or_insert(time);
        }
        if self.newest.as_ref().is_none_or(|(newest, _)| *newest <= time) {
            self.newest = Some((time, Written::default().and(labels).map(Written::state)));
        }
    }

    /// The state that they say, of a server that is `idle` or not; `None` when it isn't known.
    pub fn state(self, idle: bool, history: &mut History) -> Option<Arc<LoraState>> {
        let Some((_, newest)) = self.newest else {
            *history = History::default();
            return None;
        };
        let state = if !self.summed {
            newest.map(Arc::new)
        } else if idle {
            newest.map(|LoraState { max, .. }| Arc::new(LoraState { max, ..LoraState::default() }))
        } else if self.changed {
            self.written.map(|written| Arc::new(written.state()))
        } else {
            // Nothing was written, so it is as it was.
            history.state.take()
        };
        *history = History { series: self.series, state: state.clone() };
        state
    }
}

/// What several series say together.
#[derive(Debug, Default)]
struct Written {
    max: u32,
    running: Names,
    waiting: Names,
}

impl Written {
    /// With what the series with `labels` says; `None` when it names more adapters than a server has.
    fn and(mut self, labels: &Labels<'_>) -> Option<Self> {
        let max = labels.get("max_lora").and_then(|max| max.trim().parse().ok()).unwrap_or(0);
        self.max = self.max.max(max);
        let lists =
            [("running_lora_adapters", &mut self.running), ("waiting_lora_adapters", &mut self.waiting)];
        for (name, into) in lists {
            let list = labels.get(name).unwrap_or_default();
            let names = || list.split(',').map(str::trim).filter(|name| !name.is_empty());
            if names().nth(MOST).is_some() {
                return None;
            }
            names().for_each(|name| into.add(name));
        }
        Some(self)
    }

    /// The state. vLLM has one set for adapters that run and those that wait, and names each twice.
    fn state(self) -> LoraState {
        let Self { max, running, mut waiting } = self;
        waiting.order.retain(|name| !running.known.contains(name));
        LoraState { max, running: running.order, waiting: waiting.order }
    }
}

/// Names, each once and in the order in which they came; not more than [`MOST`].
#[derive(Debug, Default)]
struct Names {
    order: Vec<Box<str>>,
    known: BTreeSet<Box<str>>,
}

impl Names {
    fn add(&mut self, name: &str) {
        if self.order.len() < MOST && !self.known.contains(name) {
            self.known.insert(name.into());
            self.order.push(name.into());
        }
    }
}
