//! The endpoints that there should be, and where pages about them are.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use picker_core::endpoint::EndpointSpec;

/// The endpoints that there should be, as pool and pods or a file say; `None` while it isn't known yet.
pub type Wanted = Option<Arc<[WantedEndpoint]>>;

/// An endpoint that there should be.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedEndpoint {
    /// What it is.
    pub spec: EndpointSpec,
    /// Where pages about it are.
    pub pages: PageHosts,
}

impl From<EndpointSpec> for WantedEndpoint {
    /// One of which all pages are at its own address.
    fn from(spec: EndpointSpec) -> Self {
        Self { spec, pages: PageHosts::default() }
    }
}

/// The hosts of pages about an endpoint, beside the address at which it serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageHosts {
    /// Address of its node.
    pub node: Option<IpAddr>,
    /// Where the pool that it stands for has its metrics.
    pub pool: PoolPage,
    /// The name by which the host of these metrics was found, which its certificate has to be for.
    pub name: Option<Arc<str>>,
}

/// The place of the metrics of the pool that an endpoint stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolPage {
    /// The endpoint's own address.
    #[default]
    Own,
    /// Another address.
    At(SocketAddr),
    /// A host whose address is not known.
    Unknown,
}
