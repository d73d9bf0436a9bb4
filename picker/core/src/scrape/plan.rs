//! What the picker scrapes for a strategy, of all sources.

use super::extractor::{ExtractorPlan, MetricsExtractor};
use super::source::{MetricsSource, SourceKind};
use crate::column::Column;
use crate::health::Settings;

/// What the picker scrapes for a strategy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrapePlan {
    /// The sources. Of a figure that several tell, the first counts.
    pub sources: Vec<SourcePlan>,
    /// The attributes of endpoints among it, as `<producer>/<name>`, with the columns that they are in.
    pub attributes: Vec<(String, Column)>,
    /// Whether a scrape that is refused counts against an endpoint, and how much.
    pub health: Settings,
}

/// What of one source is scraped for a strategy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourcePlan {
    /// Where.
    pub source: MetricsSource,
    /// What. Of a figure that several tell, the first counts.
    pub extractors: Vec<ExtractorPlan>,
}

impl SourcePlan {
    /// What is scraped of the default source, by the default extractor, of a strategy that reads `columns`.
    pub fn of(columns: &[Column]) -> Self {
        Self::at(MetricsSource::default(), columns)
    }

    /// The same of another source of model servers' metrics.
    pub fn at(source: MetricsSource, columns: &[Column]) -> Self {
        Self { source, extractors: vec![MetricsExtractor::default().plan(columns, &[])] }
    }

    /// Whether it tells something of `column`.
    pub fn tells(&self, column: Column) -> bool {
        if self.source.kind == SourceKind::Models {
            return column == Column::MODELS;
        }
        let engines = self.extractors.iter().flat_map(|extractor| &extractor.engines);
        engines.flat_map(|engine| &engine.series).any(|(_, figure)| figure.column() == column)
    }
}

impl ScrapePlan {
    /// What a strategy of default source and extractor scrapes that reads `columns`.
    pub fn of(columns: &[Column]) -> Self {
        SourcePlan::of(columns).into()
    }

    /// The sources, each with what tells it from the others.
    pub fn by_id(&self) -> impl Iterator<Item = (SourceId, &SourcePlan)> {
        self.sources.iter().enumerate().map(|(n, plan)| {
            let kind = plan.source.kind;
            let earlier = self.sources[..n].iter().filter(|earlier| earlier.source.kind == kind);
            (SourceId { kind, n: earlier.count() as u16 }, plan)
        })
    }
}

impl From<SourcePlan> for ScrapePlan {
    /// A plan of one source.
    fn from(source: SourcePlan) -> Self {
        Self { sources: vec![source], ..Self::default() }
    }
}

/// Tells a source of a [`ScrapePlan`] from the others, and from those of earlier plans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId {
    /// Its kind.
    pub kind: SourceKind,
    /// Its place among the sources of its kind.
    pub n: u16,
}
