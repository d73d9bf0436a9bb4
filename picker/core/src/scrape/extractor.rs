//! Which series of a page of metrics tell what.

use super::attributes;
use super::selector::Selector;
use super::source::SourceKind;
use crate::column::Column;

/// Which series tell what, by engine. What an instance of a plugin in the role of an extractor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsExtractor {
    /// The kind of source that it is made for. One of [`SourceKind::Models`] has no engines.
    pub kind: SourceKind,
    /// Labels by which pods name their engine, the first that a pod has counts.
    pub labels: Vec<String>,
    /// The engines, in the order of preference when a server speaks for several.
    pub engines: Vec<Engine>,
}

/// The series of one engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Engine {
    /// Its name, as pods have it in their label.
    pub name: String,
    /// Series of the figures that every picker knows. Several may tell the same one: not all releases of an engine
    /// call it the same.
    pub known: Vec<(Selector, Figure)>,
    /// Further ones, by the attribute of the endpoint that they set.
    pub custom: Vec<(String, Selector)>,
}

/// What a series tells of an endpoint, and so how the values of several series are put together: those that are
/// [parts](super::meaning::Meaning::Part) of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Requests in the queue; series add up.
    Waiting,
    /// Requests being computed; series add up.
    Running,
    /// Share of the KV cache in use, 0 to 1; the mean of the series.
    KvUsage,
    /// Tokens per KV-cache block.
    BlockSize,
    /// KV-cache blocks; series add up.
    NumBlocks,
    /// Tokens that the KV cache on the accelerator holds; series add up. Goes before what its blocks hold.
    CacheTokens,
    /// Tokens that a tier below the accelerator holds; series add up. It has a copy of what is above it.
    TierTokens,
    /// The same as the value of the label of this name.
    TierInfo(String),
    /// Tokens per block and number of blocks, as values of the labels of these names. Beside them, [`MATCH_LABEL`](super::builtin::MATCH_LABEL)
    /// and [`TOKENS_LABEL`](super::builtin::TOKENS_LABEL) are read.
    CacheConfig {
        /// Label with the tokens per block.
        block_size: String,
        /// Label with the number of blocks.
        num_blocks: String,
    },
    /// LoRA adapters, in vLLM's labels.
    Lora,
    /// The number in a column: of several series the one with the newest timestamp, of equal ones the first.
    Number(Column),
    /// The share in a column, told in percent: the highest of the series that are of the endpoint's pod, or of no pod.
    MostOfPod(Column),
}

impl Figure {
    /// The column that it is a part of.
    pub fn column(&self) -> Column {
        match self {
            Self::Waiting => Column::WAITING,
            Self::Running => Column::RUNNING,
            Self::KvUsage => Column::KV_USAGE,
            Self::BlockSize | Self::NumBlocks | Self::CacheTokens => Column::CACHE_CONFIG,
            Self::TierTokens | Self::TierInfo(_) | Self::CacheConfig { .. } => Column::CACHE_CONFIG,
            Self::Lora => Column::LORA,
            Self::Number(column) | Self::MostOfPod(column) => *column,
        }
    }
}

/// What one extractor finds for a strategy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtractorPlan {
    /// As in [`MetricsExtractor`].
    pub labels: Vec<String>,
    /// As in [`MetricsExtractor`], with the wanted series alone.
    pub engines: Vec<EnginePlan>,
}

/// The wanted series of one engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnginePlan {
    /// Its name.
    pub name: String,
    /// The series.
    pub series: Vec<(Selector, Figure)>,
}

/// Columns that the picker shows in its own metrics whenever it scrapes.
const SHOWN: [Column; 3] = [Column::WAITING, Column::RUNNING, Column::KV_USAGE];

impl MetricsExtractor {
    /// Columns that the metrics of model servers fill, as far as engines are known.
    pub const CORE: [Column; 5] =
        [Column::WAITING, Column::RUNNING, Column::KV_USAGE, Column::CACHE_CONFIG, Column::LORA];

    /// Whether it sets `attribute`.
    pub fn sets(&self, attribute: &str) -> bool {
        let known = self.kind == SourceKind::Metrics && attributes::core(attribute).is_some();
        known || self.engines.iter().any(|engine| engine.custom.iter().any(|(set, _)| set == attribute))
    }

    /// The attributes that it sets, each once.
    pub fn attributes(&self) -> Vec<&str> {
        let mut names: Vec<_> =
            self.engines.iter().flat_map(|e| &e.custom).map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let known = attributes::CORE.iter().filter(|_| self.kind == SourceKind::Metrics);
        known.map(|(name, _)| *name).chain(names).collect()
    }

    /// Whether it tells anything that is wanted: `columns` of the known ones, or `attributes`.
    pub fn is_wanted(&self, columns: &[Column], attributes: &[(&str, Column)]) -> bool {
        !attributes.is_empty()
            || match self.kind {
                SourceKind::Metrics => columns.iter().any(|column| Self::CORE.contains(column)),
                SourceKind::Models => columns.contains(&Column::MODELS),
                SourceKind::Dcgm | SourceKind::Multicluster => false,
            }
    }

    /// What of it is wanted: `columns` of the known ones, and `attributes` with the columns they go to.
    pub fn plan(&self, columns: &[Column], attributes: &[(&str, Column)]) -> ExtractorPlan {
        let wanted = |column: Column| columns.contains(&column) || SHOWN.contains(&column);
        let engine = |engine: &Engine| {
            let known = engine.known.iter().filter(|(_, figure)| wanted(figure.column())).cloned();
            let custom = engine.custom.iter().flat_map(|(name, selector)| {
                let columns = attributes.iter().filter(move |(wanted, _)| wanted == name);
                columns.map(|(_, column)| (selector.clone(), self.figure(*column)))
            });
            EnginePlan { name: engine.name.clone(), series: known.chain(custom).collect() }
        };
        ExtractorPlan { labels: self.labels.clone(), engines: self.engines.iter().map(engine).collect() }
    }

    /// What an attribute in `column` is.
    fn figure(&self, column: Column) -> Figure {
        match self.kind {
            SourceKind::Dcgm => Figure::MostOfPod(column),
            _ => Figure::Number(column),
        }
    }
}
