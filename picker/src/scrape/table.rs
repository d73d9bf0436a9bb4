//! The table of the series that a strategy wants of a source, by name, made from its [`SourcePlan`] when it is installed.

use std::sync::Arc;

use picker_core::endpoint::Labels;
use picker_core::scrape::meaning::{Meaning, meanings};
use picker_core::scrape::{EnginePlan, ExtractorPlan, Figure, SourcePlan};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// The hint of a pod: for each extractor of a plan, the engine that a pod's labels name, if it knows it.
pub type Hint = SmallVec<[Option<Arc<str>>; 1]>;

/// The wanted series of pages of metrics.
#[derive(Debug)]
pub struct Table {
    plan: SourcePlan,
    /// The bytes with which wanted names begin.
    begins: [bool; 256],
    /// Which values [`shape`] has for them.
    shapes: [bool; SHAPES],
    wanted: FxHashMap<Box<[u8]>, Vec<Want>>,
    /// The engines of each extractor.
    engines: Vec<Vec<Arc<str>>>,
    /// The labels whose meaning is known, by engine, of all extractors.
    meanings: Vec<Meanings>,
}

/// The labels whose meaning is known in pages of an engine.
pub(super) type Meanings = Box<[(&'static [u8], Meaning)]>;

/// A wanted series: the figure that it tells, and the engine of it.
#[derive(Debug)]
pub(super) struct Want {
    /// Position of its engine among those of all extractors.
    pub engine: usize,
    /// Labels that it must have.
    labels: Vec<(String, String)>,
    /// What it tells.
    pub figure: Figure,
}

impl Want {
    /// Whether a series with `labels` is meant.
    pub fn means(&self, labels: &super::labels::Labels<'_>) -> bool {
        self.labels.iter().all(|(name, value)| labels.get(name).as_deref() == Some(value))
    }
}

impl Table {
    /// The series of `plan`.
    pub fn new(plan: SourcePlan) -> Self {
        let mut table = Self {
            begins: [false; 256],
            shapes: [false; SHAPES],
            wanted: FxHashMap::default(),
            engines: Vec::new(),
            meanings: Vec::new(),
            plan: SourcePlan::default(),
        };
        let mut engine = 0;
        for ExtractorPlan { engines, .. } in &plan.extractors {
            table.engines.push(engines.iter().map(|engine| engine.name.as_str().into()).collect());
            for EnginePlan { name, series } in engines {
                table
                    .meanings
                    .push(meanings(name).map(|(label, meaning)| (label.as_bytes(), meaning)).collect());
                for (selector, figure) in series {
                    let name = selector.name.as_bytes();
                    let (Some(&first), Some(shape)) = (name.first(), shape(name)) else { continue };
                    table.begins[usize::from(first)] = true;
                    table.shapes[shape] = true;
                    let want = Want { engine, labels: selector.labels.clone(), figure: figure.clone() };
                    table.wanted.entry(name.into()).or_default().push(want);
                }
                engine += 1;
            }
        }
        table.plan = plan;
        table
    }

    /// The plan that it was made of.
    pub fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    /// The engines of each extractor, in the order of preference.
    pub(super) fn engines(&self) -> &[Vec<Arc<str>>] {
        &self.engines
    }

    /// The labels whose meaning is known in pages of the engine at this position among those of all extractors.
    pub(super) fn meanings(&self, engine: usize) -> &[(&'static [u8], Meaning)] {
        &self.meanings[engine]
    }

    /// The engines that the labels of a pod name.
    pub fn hint(&self, labels: &Labels) -> Hint {
        let of = |(plan, engines): (&ExtractorPlan, &Vec<Arc<str>>)| {
            let value = plan.labels.iter().find_map(|label| labels.get(label).filter(|v| !v.is_empty()))?;
            engines.iter().find(|engine| ***engine == **value).cloned()
        };
        self.plan.extractors.iter().zip(&self.engines).map(of).collect()
    }

    /// The names of the wanted metrics of the engine at this position among those of all extractors, each once.
    pub(super) fn names(&self, engine: usize) -> impl Iterator<Item = &str> {
        let plan = self.plan.extractors.iter().flat_map(|extractor| &extractor.engines).nth(engine);
        let series = plan.map_or(&[][..], |plan| &plan.series);
        let new = move |n: usize| series[..n].iter().all(|(earlier, _)| earlier.name != series[n].0.name);
        (0..series.len()).filter(move |n| new(*n)).map(move |n| series[n].0.name.as_str())
    }

    /// Whether a wanted name begins with `byte`.
    #[inline]
    pub(super) fn begins_with(&self, byte: u8) -> bool {
        self.begins[usize::from(byte)]
    }

    /// What the series called `name` tell.
    #[inline]
    pub(super) fn get(&self, name: &[u8]) -> &[Want] {
        // Most names have the shape of none that is wanted, and need not be hashed.
        match shape(name) {
            Some(shape) if self.shapes[shape] => self.wanted.get(name).map_or(&[], Vec::as_slice),
            _ => &[],
        }
    }
}

/// The number of shapes.
const SHAPES: usize = 1 << 12;

/// A number that depends on the length, the middle and the end of a name; `None` for an empty one.
#[inline]
fn shape(name: &[u8]) -> Option<usize> {
    let (last, middle) = (name.last()?, name[name.len() / 2]);
    Some((name.len() & 63) << 6 | usize::from(last ^ middle.rotate_left(3)) & 63)
}
