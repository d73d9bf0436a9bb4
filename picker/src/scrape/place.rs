//! The place of the pages of a source: paths, port, host and protocol.

use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;
use http::uri::PathAndQuery;
use picker_core::scrape::{MetricsSource, SourceKind};
use rustls::ClientConfig;

use crate::watch::{PageHosts, PoolPage};

/// The paths at which engines have their metrics: TensorRT-LLM's server tells its iterations in JSON at the first of them.
const PATHS: [&str; 2] = ["/metrics", "/prometheus/metrics"];

/// Where the pages of a source are: paths, port, host and protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// What is there.
    kind: SourceKind,
    /// Whether it is at the address of the endpoint's node.
    at_node: bool,
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
            kind: SourceKind::Metrics,
            at_node: false,
            paths: PATHS.into_iter().map(PathAndQuery::from_static).collect(),
            port: None,
            wire: Wire::Plain,
        }
    }
}

impl Place {
    /// At `path` alone, and on `port`; `None` is what [`Self::default`] says.
    pub fn new(path: Option<PathAndQuery>, port: Option<u16>) -> Self {
        let default = Self::default();
        Self { paths: path.map_or(default.paths, |path| Arc::from([path])), port, ..default }
    }

    /// The address at which the page about the server at `own` is, whose other `pages` are elsewhere; `None` when it is not
    /// known.
    pub fn address(&self, own: SocketAddr, pages: &PageHosts) -> Option<SocketAddr> {
        let mut address = match self.kind {
            _ if self.at_node => SocketAddr::new(pages.node?, own.port()),
            SourceKind::Multicluster => match pages.pool {
                PoolPage::Own => own,
                PoolPage::At(address) => address,
                PoolPage::Unknown => return None,
            },
            _ => own,
        };
        address.set_port(self.port.unwrap_or(address.port()));
        Some(address)
    }

    /// The name that the certificate of that page has to be for; `None` is the address.
    pub fn name(&self, pages: &PageHosts) -> Option<Arc<str>> {
        pages.name.clone().filter(|_| self.kind == SourceKind::Multicluster)
    }

    /// Whether the page is what the server at `own` itself says, where it serves requests.
    pub fn is_served_at(&self, own: SocketAddr, pages: &PageHosts) -> bool {
        self.address(own, pages) == Some(own)
    }

    /// The most of a page that is read, in bytes.
    pub(super) fn cap(&self) -> usize {
        match self.kind {
            // Five times what a server with all its histograms writes.
            SourceKind::Metrics | SourceKind::Dcgm => 4 << 20,
            SourceKind::Models => 1 << 20,
            SourceKind::Multicluster => 8 << 20,
        }
    }

    /// What is asked for.
    pub(super) fn accept(&self) -> HeaderValue {
        HeaderValue::from_static(match self.kind {
            SourceKind::Models => "application/json",
            _ => "text/plain;version=0.0.4",
        })
    }

    /// Whether the page may be asked for wanted metrics alone.
    pub(super) fn may_be_narrow(&self) -> bool {
        self.kind == SourceKind::Metrics
    }

    /// Where `source` says, and where it says nothing here, if the picker's flags are about its kind; by `wire`.
    #[must_use]
    pub fn with(&self, source: &MetricsSource, wire: Wire) -> Self {
        // What is no path was refused when the strategy was compiled.
        let path = source.path.as_deref().and_then(|path| path.parse().ok());
        let paths = path.map_or_else(|| self.paths_of(source.kind), |path: PathAndQuery| Arc::from([path]));
        let flag = self.port.filter(|_| source.kind == SourceKind::Metrics);
        Self { kind: source.kind, at_node: source.at_node, paths, port: source.port.or(flag), wire }
    }

    fn paths_of(&self, kind: SourceKind) -> Arc<[PathAndQuery]> {
        match kind {
            SourceKind::Metrics => self.paths.clone(),
            SourceKind::Models => Arc::from([PathAndQuery::from_static("/v1/models")]),
            SourceKind::Dcgm | SourceKind::Multicluster => Arc::from([PathAndQuery::from_static("/metrics")]),
        }
    }
}
