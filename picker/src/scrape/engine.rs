//! The figures of each engine, and the signals that they mean.
//!
//! An engine is recognised by what a server says; when it speaks for several, one counts.

use std::sync::Arc;

use picker_core::column::Column;
use picker_core::scrape::Figure;
use picker_core::view::Signals;

use super::labels::Labels;
use super::table::Table;

mod lora;

/// A sample: one line of the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample<'a> {
    pub labels: Labels<'a>,
    pub value: f64,
    /// Milliseconds; 0 where the line has none.
    pub timestamp: i64,
}

/// The figures that were found so far, by engine: those of the first extractor, then those of the next.
#[derive(Debug, Default)]
pub(super) struct Found(Vec<Figures>);

impl Found {
    /// Nothing of the engines of `table`, in the memory that is already there.
    pub fn reset(&mut self, table: &Table) {
        self.0.clear();
        self.0.resize_with(table.engines().iter().map(Vec::len).sum(), Figures::default);
    }

    pub fn add(&mut self, engine: usize, figure: &Figure, sample: &Sample<'_>) {
        self.0[engine].add(figure, sample);
    }

    /// The signals, and forgets them. Of each extractor the hinted engine counts if it said anything, else the first
    /// that did; of a figure that several extractors tell, the first.
    pub fn take(&mut self, table: &Table, hint: &[Option<Arc<str>>]) -> Signals {
        let mut rest = &mut self.0[..];
        let mut all = Signals::default();
        for (i, engines) in table.engines().iter().enumerate() {
            let (own, others) = std::mem::take(&mut rest).split_at_mut(engines.len());
            rest = others;
            let hinted = hint.get(i).and_then(Option::as_ref);
            let hinted = hinted.and_then(|hint| engines.iter().position(|engine| engine == hint));
            let order = hinted.into_iter().chain((0..own.len()).filter(|n| Some(*n) != hinted));
            let mut signals = order.map(|n| std::mem::take(&mut own[n]).signals());
            let found = signals.find(|signals| *signals != Signals::default());
            // Those after it are not looked at.
            own.fill_with(Figures::default);
            if let Some(found) = found {
                join(&mut all, found);
            }
        }
        all
    }
}

/// Fills the gaps of `all` by `more`.
fn join(all: &mut Signals, more: Signals) {
    let Signals { waiting, running, kv_usage, block_size, num_blocks, lora, others } = more;
    all.waiting = all.waiting.or(waiting);
    all.running = all.running.or(running);
    all.kv_usage = all.kv_usage.or(kv_usage);
    all.block_size = all.block_size.or(block_size);
    all.num_blocks = all.num_blocks.or(num_blocks);
    all.lora = all.lora.take().or(lora);
    all.others.extend(others);
}

/// The figures of one engine. A server with several ranks has a series for each: requests and blocks add up,
/// usage is the mean.
#[derive(Debug, Default)]
struct Figures {
    waiting: Option<f64>,
    running: Option<f64>,
    usage: Mean,
    block_size: Option<u32>,
    num_blocks: Option<u32>,
    lora: lora::Newest,
    numbers: Vec<Number>,
}

#[derive(Debug, Default)]
struct Mean {
    sum: f64,
    count: f64,
}

/// The number in a column, and its timestamp.
#[derive(Debug)]
struct Number {
    column: Column,
    timestamp: i64,
    value: f64,
}

impl Figures {
    fn add(&mut self, figure: &Figure, sample: &Sample<'_>) {
        let Sample { labels, value, timestamp } = sample;
        // Ranks of one tensor-parallel or pipeline group say the same thing again.
        let repeats = |name| labels.get(name).is_some_and(|rank| rank != "0" && !rank.is_empty());
        // What is known counts something.
        let believed = value.is_finite() && (*value >= 0.0 || matches!(figure, Figure::Number(_)));
        if !believed || repeats("tp_rank") || repeats("pp_rank") {
            return;
        }
        match figure {
            Figure::Waiting => *self.waiting.get_or_insert(0.0) += value,
            Figure::Running => *self.running.get_or_insert(0.0) += value,
            Figure::KvUsage => self.usage.add(*value),
            Figure::BlockSize => self.block_size = positive(*value),
            Figure::NumBlocks => self.add_blocks(positive(*value)),
            Figure::CacheConfig { block_size, num_blocks } => {
                let number = |name| labels.get(name).and_then(|v| v.parse().ok()).and_then(positive);
                self.block_size = number(block_size).or(self.block_size);
                self.add_blocks(number(num_blocks));
            }
            Figure::Lora => lora::newest(&mut self.lora, labels, *value),
            Figure::Number(column) => self.add_number(*column, *timestamp, *value),
        }
    }

    fn add_blocks(&mut self, blocks: Option<u32>) {
        if let Some(blocks) = blocks {
            self.num_blocks = Some(self.num_blocks.unwrap_or(0).saturating_add(blocks));
        }
    }

    fn add_number(&mut self, column: Column, timestamp: i64, value: f64) {
        let new = Number { column, timestamp, value };
        match self.numbers.iter_mut().find(|known| known.column == column) {
            Some(known) if known.timestamp < timestamp => *known = new,
            Some(_) => {}
            None => self.numbers.push(new),
        }
    }

    fn signals(self) -> Signals {
        Signals {
            waiting: self.waiting.map(finite),
            running: self.running.map(finite),
            kv_usage: (self.usage.count > 0.0).then(|| (self.usage.sum / self.usage.count).min(1.0) as f32),
            block_size: self.block_size,
            num_blocks: self.num_blocks,
            lora: self.lora.and_then(|(_, state)| state).map(Arc::new),
            others: self.numbers.into_iter().map(|number| (number.column, finite(number.value))).collect(),
        }
    }
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
    }
}

/// The value as a finite number: one beyond reason must not become infinite, which no scorer could compare.
fn finite(value: f64) -> f32 {
    value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}

fn positive(value: f64) -> Option<u32> {
    (value >= 1.0 && value <= f64::from(u32::MAX)).then_some(value as u32)
}
