//! Metrics of model servers that a strategy reads: where their pages are, and which series of them tell which figure.
//!
//! These are plain values. Nothing is read when a strategy is compiled; the picker makes its scanner from the
//! [`ScrapePlan`], which has only the series of what the strategy's plugins read.

use std::time::Duration;

use crate::column::Column;
use crate::health::Settings;

pub mod builtin;
pub mod meaning;
pub mod selector;

pub use selector::Selector;

/// The name, and the type, of the extractor that works where a configuration has none.
pub const CORE_EXTRACTOR: &str = "core-metrics-extractor";

/// Where model servers have their pages of metrics, and how they are fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricsSource {
    /// Path of the page; `None` where the picker looks by itself.
    pub path: Option<String>,
    /// Port of the page; `None` is the picker's setting, by default the port that serves requests.
    pub port: Option<u16>,
    /// `None` is the picker's setting, by default plain HTTP.
    pub tls: Option<Tls>,
    /// Whether it is plain HTTP, whatever the picker's setting is.
    pub plain: bool,
    /// From the start of one scrape to the start of the next; `None` is the picker's setting.
    pub interval: Option<Duration>,
    /// The same while no requests flow; zero is the same as `interval`. `None` is the picker's setting.
    pub rest_interval: Option<Duration>,
    /// What scraping may cost a server; `None` is the picker's setting.
    pub server_share: Option<ServerShare>,
    /// After which time figures that do not move are doubted; zero is never, `None` the picker's setting.
    pub doubt_after: Option<Duration>,
}

/// The share of the time of one core of a server that scraping may take at most. Kept in millionths, so that equal ones are
/// equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerShare(u32);

impl ServerShare {
    /// `share` of 0 to 1, 0 being no limit; `None` for another number, or one that is smaller than a millionth.
    pub fn new(share: f64) -> Option<Self> {
        let millionths = (share * 1e6).round();
        let legal = (0.0..=1.0).contains(&share) && (millionths >= 1.0 || share == 0.0);
        legal.then_some(Self(millionths as u32))
    }

    /// The share, greater than 0; `None` is no limit.
    pub fn get(self) -> Option<f64> {
        (self.0 > 0).then_some(f64::from(self.0) / 1e6)
    }
}

/// TLS to model servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Whether the server's certificate is checked.
    pub verify: bool,
    /// File of the certificates of authorities that are believed, in PEM; `None` is those of the web.
    pub ca: Option<String>,
    /// Files of the picker's certificate and its key, in PEM.
    pub client: Option<(String, String)>,
}

/// Which series tell what, by engine. What an instance of a plugin in the role of an extractor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsExtractor {
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
/// [parts](meaning::Meaning::Part) of the server.
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
    /// Tokens per block and number of blocks, as values of the labels of these names. Beside them, [`builtin::MATCH_LABEL`]
    /// and [`builtin::TOKENS_LABEL`] are read.
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
            Self::Number(column) => *column,
        }
    }
}

/// What the picker scrapes for a strategy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrapePlan {
    /// Where.
    pub source: MetricsSource,
    /// What. Of a figure that several tell, the first counts.
    pub extractors: Vec<ExtractorPlan>,
    /// The attributes of endpoints among it, as `<producer>/<name>`, with the columns that they are in.
    pub attributes: Vec<(String, Column)>,
    /// Whether a scrape that is refused counts against an endpoint, and how much.
    pub health: Settings,
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
    /// Whether an engine of it sets `attribute`.
    pub fn sets(&self, attribute: &str) -> bool {
        self.engines.iter().any(|engine| engine.custom.iter().any(|(set, _)| set == attribute))
    }

    /// The attributes that its engines set, each once.
    pub fn attributes(&self) -> Vec<&str> {
        let mut names: Vec<_> =
            self.engines.iter().flat_map(|e| &e.custom).map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What of it is wanted: `columns` of the known ones, and `attributes` with the columns they go to.
    pub fn plan(&self, columns: &[Column], attributes: &[(&str, Column)]) -> ExtractorPlan {
        let wanted = |column: Column| columns.contains(&column) || SHOWN.contains(&column);
        let engine = |engine: &Engine| {
            let known = engine.known.iter().filter(|(_, figure)| wanted(figure.column())).cloned();
            let custom = engine.custom.iter().flat_map(|(name, selector)| {
                let columns = attributes.iter().filter(move |(wanted, _)| wanted == name);
                columns.map(|(_, column)| (selector.clone(), Figure::Number(*column)))
            });
            EnginePlan { name: engine.name.clone(), series: known.chain(custom).collect() }
        };
        ExtractorPlan { labels: self.labels.clone(), engines: self.engines.iter().map(engine).collect() }
    }
}

impl ScrapePlan {
    /// What a strategy of default source and extractor scrapes that reads `columns`.
    pub fn of(columns: &[Column]) -> Self {
        let extractor = MetricsExtractor::default().plan(columns, &[]);
        Self { extractors: vec![extractor], ..Self::default() }
    }
}

#[cfg(test)]
mod tests;
