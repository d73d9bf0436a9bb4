//! Where the pages of a source of data about endpoints are.

use std::time::Duration;

/// The name, and the type, of the extractor that works where a configuration has none.
pub const CORE_EXTRACTOR: &str = "core-metrics-extractor";

/// The kind of a source: what its pages are about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceKind {
    /// The metrics of model servers.
    #[default]
    Metrics,
    /// The metrics of accelerators, as NVIDIA's DCGM exporter has them.
    Dcgm,
    /// The models that a server lists.
    Models,
    /// The metrics of other clusters' pools, as their endpoint pickers have them.
    Multicluster,
}

impl SourceKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Metrics, Self::Dcgm, Self::Models, Self::Multicluster];

    /// The plugin type of the sources.
    pub fn source_type(self) -> &'static str {
        match self {
            Self::Metrics => "metrics-data-source",
            Self::Dcgm => "dcgm-data-source",
            Self::Models => "models-data-source",
            Self::Multicluster => "multicluster-metrics-data-source",
        }
    }

    /// The plugin type of the extractors that are made for them.
    pub fn extractor_type(self) -> &'static str {
        match self {
            Self::Metrics => CORE_EXTRACTOR,
            Self::Dcgm => "dcgm-extractor",
            Self::Models => "models-data-extractor",
            Self::Multicluster => "multicluster-metrics-extractor",
        }
    }

    /// Whether its pages are metrics in the text format of Prometheus, which any extractor of metrics reads.
    pub fn has_metrics(self) -> bool {
        self != Self::Models
    }
}

/// Where the pages of a source are, and how they are fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricsSource {
    /// What they are about.
    pub kind: SourceKind,
    /// Path of the page; `None` where the picker looks by itself.
    pub path: Option<String>,
    /// Port of the page; `None` is the picker's setting, by default the port that serves requests.
    pub port: Option<u16>,
    /// Whether it is at the address of the endpoint's node.
    pub at_node: bool,
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

impl MetricsSource {
    /// The source of `kind` where a configuration has none.
    pub fn of(kind: SourceKind) -> Self {
        let default = Self { kind, ..Self::default() };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        match kind {
            SourceKind::Metrics => default,
            // The exporter itself looks at its accelerators less often.
            SourceKind::Dcgm => Self { port: Some(9400), plain: true, interval: seconds(1), ..default },
            // Models come and go seldom.
            SourceKind::Models => Self { interval: seconds(5), ..default },
            SourceKind::Multicluster => {
                let tls = Tls { verify: true, ..Tls::default() };
                Self { tls: Some(tls), interval: seconds(1), ..default }
            }
        }
    }
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
