//! The LoRA adapters of vLLM, which are labels of a series whose value is the Unix time when it was last written. vLLM makes
//! a new series for each combination and never takes one back, so the one that was written last is the truth.
//!
//! A server with several API servers adds up what each of them writes (`multiprocess_mode="sum"`): values are sums of
//! times then, and the largest says nothing. What was written since the page before is the truth there, of all API
//! servers together.

use std::sync::Arc;

use picker_core::view::LoraState;
use rustc_hash::FxHashSet;

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
    /// All that were written since the page before; `None` when they name too many adapters.
    written: Option<LoraState>,
    /// Whether something was written since then.
    changed: bool,
    /// Whether values are sums of times.
    summed: bool,
    /// A hash of the labels of each, and its value.
    series: Vec<(u64, f64)>,
}

/// What is remembered from one page to the next.
#[derive(Debug, Default)]
pub(super) struct History {
    series: Vec<(u64, f64)>,
    state: Option<Arc<LoraState>>,
}

impl Page {
    /// Adds the series with `labels`, which was written at `time`.
    pub fn add(&mut self, labels: &Labels<'_>, time: f64, history: &History) {
        let key = labels.iter().fold(0_u64, |key, (name, value)| key.wrapping_add(hash(name, value)));
        self.summed |= time > LATEST;
        let known = |series: &&(u64, f64)| series.0 == key;
        let before = history.series.iter().find(known).map(|(_, time)| *time);
        if !history.series.is_empty() && before != Some(time) {
            let first = !std::mem::replace(&mut self.changed, true);
            let so_far = if first { Some(LoraState::default()) } else { self.written.take() };
            self.written = so_far.and_then(|state| Some(join(state, state_of(labels)?)));
        }
        if self.series.len() < SERIES {
            self.series.push((key, time));
        }
        if self.newest.as_ref().is_none_or(|(newest, _)| *newest <= time) {
            self.newest = Some((time, state_of(labels)));
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
            self.written.map(Arc::new)
        } else {
            // Nothing was written, so it is as it was.
            history.state.take()
        };
        *history = History { series: self.series, state: state.clone() };
        state
    }
}

/// The state that `labels` say; `None` when they name more adapters than a server has.
fn state_of(labels: &Labels<'_>) -> Option<LoraState> {
    let adapters = |name| -> Option<Vec<Box<str>>> {
        let list = labels.get(name).unwrap_or_default();
        let names = || list.split(',').map(str::trim).filter(|name| !name.is_empty());
        (names().count() <= MOST).then(|| names().map(Box::from).collect())
    };
    let max = labels.get("max_lora").and_then(|max| max.trim().parse().ok()).unwrap_or(0);
    let state = LoraState {
        max,
        running: adapters("running_lora_adapters")?,
        waiting: adapters("waiting_lora_adapters")?,
    };
    Some(distinct(state))
}

/// Both together.
fn join(mut one: LoraState, other: LoraState) -> LoraState {
    one.max = one.max.max(other.max);
    one.running.extend(other.running);
    one.waiting.extend(other.waiting);
    let mut all = distinct(one);
    all.running.truncate(MOST);
    all.waiting.truncate(MOST);
    all
}

/// Each adapter once: vLLM has one set for those that run and those that wait, and names it twice.
fn distinct(LoraState { max, running, waiting }: LoraState) -> LoraState {
    let mut seen = FxHashSet::default();
    let mut once = |names: Vec<Box<str>>| -> Vec<Box<str>> {
        names.into_iter().filter(|name| seen.insert(name.clone())).collect()
    };
    LoraState { max, running: once(running), waiting: once(waiting) }
}
