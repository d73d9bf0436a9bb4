//! The place of the metrics of model servers: paths, port and protocol.

use std::net::SocketAddr;
use std::sync::Arc;

use http::uri::PathAndQuery;
use picker_core::scrape::MetricsSource;
use rustls::ClientConfig;

/// The paths at which engines have their metrics: TensorRT-LLM's server tells its iterations in JSON at the first of them.
const PATHS: [&str; 2] = ["/metrics", "/prometheus/metrics"];

/// The paths and the port at which model servers have their metrics, and the protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The paths that are tried, at least one.
    pub(super) paths: Arc<[PathAndQuery]>,
    pub(super) port: Option<u16>,
    pub(super) wire: Wire,
}

/// The protocol of a scrape.
#[derive(Clone, Debug)]
pub enum Wire {
    /// In plaintext.
    Plain,
    /// By TLS.
    Tls(Arc<ClientConfig>),
    /// By TLS, of which a file is no good: not at all.
    Broken,
}

impl PartialEq for Wire {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain, Self::Plain) | (Self::Broken, Self::Broken) => true,
            (Self::Tls(one), Self::Tls(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Default for Place {
    /// On the serving port, where any of the known engines has them.
    fn default() -> Self {
        Self {
            paths: PATHS.into_iter().map(PathAndQuery::from_static).collect(),
            port: None,
            wire: Wire::Plain,
        }
    }
}

impl Place {
    /// At `path` alone, and on `port`; `None` is what [`Self::default`] says.
    pub fn new(path: Option<PathAndQuery>, port: Option<u16>) -> Self {
        let paths = path.map_or_else(|| Self::default().paths, |path| Arc::from([path]));
        Self { paths, port, wire: Wire::Plain }
    }

    /// Whether it is the port at which the server with this address serves requests.
    pub fn is_served_at(&self, address: SocketAddr) -> bool {
        self.port.is_none_or(|port| port == address.port())
    }

    /// Where `source` says, and where it says nothing here; by `wire`.
    #[must_use]
    pub fn with(&self, source: &MetricsSource, wire: Wire) -> Self {
        // What is no path was refused when the strategy was compiled.
        let path = source.path.as_deref().and_then(|path| path.parse().ok());
        let paths = path.map_or_else(|| self.paths.clone(), |path: PathAndQuery| Arc::from([path]));
        Self { paths, port: source.port.or(self.port), wire }
    }
}
