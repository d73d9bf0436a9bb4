//! The figures of one engine, as the series of a page tell them.

use picker_core::column::Column;
use picker_core::scrape::Figure;
use picker_core::scrape::builtin::{MATCH_LABEL, TOKENS_LABEL};
use picker_core::scrape::meaning::Meaning;
use picker_core::view::Signals;

use super::lora;
use super::pod::Pod;
use super::sample::Sample;
use super::series::{Place, Series};

/// The figures of one engine. Requests and blocks of the parts of a server add up, usage is the mean.
#[derive(Debug, Default)]
pub(super) struct Figures {
    waiting: Series,
    running: Series,
    usage: Series,
    block_size: Option<u32>,
    num_blocks: Series,
    /// Tokens per unit in which prefixes are matched.
    match_unit: Option<u32>,
    /// Tokens that the cache on the accelerator holds.
    tokens: Series,
    /// Tokens that a tier below it holds.
    tier: Series,
    lora: lora::Page,
    numbers: Vec<Number>,
}

/// The number in a column, its timestamp, and whether it leads: the others repeat it, or are shares of it.
#[derive(Debug)]
struct Number {
    column: Column,
    order: (bool, i64),
    value: f64,
}

impl Figures {
    /// Adds what a `sample` tells, in whose page, which is read for `pod`, labels have these `meanings`, and which comes after
    /// those of `history`.
    pub fn add(
        &mut self,
        figure: &Figure,
        sample: &Sample<'_>,
        meanings: &[(&[u8], Meaning)],
        history: &lora::History,
        pod: &Pod,
    ) {
        let Sample { labels, value, timestamp } = sample;
        // What is known counts something.
        let believed = value.is_finite() && (*value >= 0.0 || matches!(figure, Figure::Number(_)));
        if !believed {
            return;
        }
        let place = || Place::of(labels, meanings);
        match figure {
            Figure::Waiting => self.waiting.add(place(), *value),
            Figure::Running => self.running.add(place(), *value),
            Figure::KvUsage => self.usage.add(place(), *value),
            Figure::BlockSize => self.block_size = positive(*value).or(self.block_size),
            Figure::NumBlocks => {
                if let Some(blocks) = positive(*value) {
                    self.num_blocks.add(place(), f64::from(blocks));
                }
            }
            Figure::CacheConfig { block_size, num_blocks } => {
                let number = |name: &str| labels.get(name).and_then(|value| value.parse::<f64>().ok());
                let small = |name: &str| number(name).and_then(positive);
                let place = Place::of_info(labels, meanings);
                self.block_size = small(block_size).or(self.block_size);
                self.match_unit = small(MATCH_LABEL).or(self.match_unit);
                if let Some(blocks) = small(num_blocks) {
                    self.num_blocks.replace(place, f64::from(blocks));
                }
                if let Some(tokens) = number(TOKENS_LABEL).filter(|tokens| *tokens >= 1.0) {
                    self.tokens.replace(place, tokens);
                }
            }
            Figure::CacheTokens if *value >= 1.0 => self.tokens.add(place(), *value),
            Figure::TierTokens if *value >= 1.0 => self.tier.add(place(), *value),
            Figure::CacheTokens | Figure::TierTokens => {}
            Figure::TierInfo(label) => {
                let tokens = labels.get(label).and_then(|value| value.parse::<f64>().ok());
                if let Some(tokens) = tokens.filter(|tokens| *tokens >= 1.0) {
                    self.tier.replace(Place::of_info(labels, meanings), tokens);
                }
            }
            Figure::Lora => self.lora.add(labels, *value, history),
            Figure::Number(column) => self.add_number(*column, (place().leads(), *timestamp), *value),
            // What an exporter has in place of a number that it does not know is far above.
            Figure::MostOfPod(column) if *value <= 100.0 && pod.has(labels) => {
                self.add_most(*column, value / 100.0);
            }
            Figure::MostOfPod(_) => {}
        }
    }

    fn add_number(&mut self, column: Column, order: (bool, i64), value: f64) {
        let new = Number { column, order, value };
        match self.numbers.iter_mut().find(|known| known.column == column) {
            Some(known) if known.order < order => *known = new,
            Some(_) => {}
            None => self.numbers.push(new),
        }
    }

    fn add_most(&mut self, column: Column, value: f64) {
        match self.numbers.iter_mut().find(|known| known.column == column) {
            Some(known) => known.value = known.value.max(value),
            None => self.numbers.push(Number { column, order: (true, 0), value }),
        }
    }

    /// The signals that they mean, after those of `history`.
    pub fn signals(mut self, history: &mut lora::History) -> Signals {
        let [waiting, running] = [self.waiting.sum(), self.running.sum()];
        let idle = waiting == Some(0.0) && running == Some(0.0);
        let num_blocks = self.num_blocks.sum().map(|blocks| blocks.min(f64::from(u32::MAX)) as u32);
        let cache_tokens = self.cache_tokens(num_blocks);
        Signals {
            waiting: waiting.map(finite),
            running: running.map(finite),
            kv_usage: self.usage.mean().map(|usage| usage.min(1.0) as f32),
            block_size: self.match_unit.or(self.block_size),
            num_blocks,
            cache_tokens,
            lora: self.lora.state(idle, history),
            models: None,
            others: self.numbers.into_iter().map(|number| (number.column, finite(number.value))).collect(),
        }
    }

    /// The tokens that the cache keeps, where that is more than its blocks tell. A tier has a copy of what is above it.
    fn cache_tokens(&mut self, num_blocks: Option<u32>) -> Option<u64> {
        let (tokens, tier) = (self.tokens.sum(), self.tier.sum());
        if tokens.is_none() && tier.is_none() && self.match_unit.is_none() {
            return None;
        }
        let blocks = || Some(f64::from(num_blocks?) * f64::from(self.block_size?));
        let tokens = tokens.or_else(blocks).into_iter().chain(tier).reduce(f64::max)?;
        // Beyond the range of the type it is the end of it.
        Some(tokens as u64)
    }
}

/// The value as a finite number: one beyond reason must not become infinite, which no scorer could compare.
fn finite(value: f64) -> f32 {
    value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}

fn positive(value: f64) -> Option<u32> {
    (value >= 1.0 && value <= f64::from(u32::MAX)).then_some(value as u32)
}
