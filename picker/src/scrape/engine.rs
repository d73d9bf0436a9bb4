//! The figures of each engine, and the signals that they mean.
//!
//! An engine is recognised by what a server says; when it speaks for several, one counts.

use std::sync::Arc;

use picker_core::scrape::Figure;
use picker_core::scrape::meaning::Meaning;
use picker_core::view::Signals;
use smallvec::SmallVec;

use super::table::Table;
use figures::Figures;
use lora::History;
pub use pod::Pod;
pub(super) use sample::Sample;

mod figures;
mod lora;
mod pod;
mod sample;
mod series;

/// The figures that were found so far, by engine: those of the first extractor, then those of the next.
#[derive(Debug)]
pub(super) struct Found {
    figures: Vec<Figures>,
    /// What is remembered from one page to the next.
    histories: Vec<History>,
    /// The engines that the last page was taken for, by position.
    taken: SmallVec<[usize; 1]>,
    /// The pod that pages are read for.
    pod: Pod,
}

impl Found {
    /// Nothing of the engines of `table`, of pages that are read for `pod`.
    pub fn new(table: &Table, pod: Pod) -> Self {
        let engines = table.engines().iter().map(Vec::len).sum();
        let mut found = Self { figures: Vec::new(), histories: Vec::new(), taken: SmallVec::new(), pod };
        found.figures.resize_with(engines, Figures::default);
        found.histories.resize_with(engines, History::default);
        found
    }

    /// The same for the engines of another table.
    #[must_use]
    pub fn renewed(self, table: &Table) -> Self {
        Self::new(table, self.pod)
    }

    /// Forgets a page that broke off.
    pub fn reset(&mut self) {
        self.figures.fill_with(Figures::default);
    }

    /// Adds what `sample` tells of the engine at a position among those of all extractors, in whose pages labels have these
    /// `meanings`.
    pub fn add(
        &mut self,
        engine: usize,
        meanings: &[(&[u8], Meaning)],
        figure: &Figure,
        sample: &Sample<'_>,
    ) {
        self.figures[engine].add(figure, sample, meanings, &self.histories[engine], &self.pod);
    }

    /// The signals, and forgets them. Of each extractor the hinted engine counts if it said anything, else the first
    /// that did; of a figure that several extractors tell, the first.
    pub fn take(&mut self, table: &Table, hint: &[Option<Arc<str>>]) -> Signals {
        let mut rest = &mut self.figures[..];
        let mut histories = &mut self.histories[..];
        let mut all = Signals::default();
        let mut first = 0;
        self.taken.clear();
        for (i, engines) in table.engines().iter().enumerate() {
            let (own, others) = std::mem::take(&mut rest).split_at_mut(engines.len());
            rest = others;
            let (remembered, others) = std::mem::take(&mut histories).split_at_mut(engines.len());
            histories = others;
            let hinted = hint.get(i).and_then(Option::as_ref);
            let hinted = hinted.and_then(|hint| engines.iter().position(|engine| engine == hint));
            let order = hinted.into_iter().chain((0..own.len()).filter(|n| Some(*n) != hinted));
            let mut signals = order.map(|n| (n, std::mem::take(&mut own[n]).signals(&mut remembered[n])));
            let found = signals.find(|(_, signals)| *signals != Signals::default());
            // Those after it are not looked at.
            own.fill_with(Figures::default);
            if let Some((n, found)) = found {
                self.taken.push(first + n);
                all.join(found);
            }
            first += engines.len();
        }
        all
    }

    /// The engines that the last page was taken for, by their positions among those of all extractors.
    pub fn taken(&self) -> &[usize] {
        &self.taken
    }
}
