//! The text of a file with endpoints.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use picker_core::endpoint::{EndpointId, EndpointSpec, Labels};
use serde::Deserialize;
use serde_json::Value;

use crate::watch::{PageHosts, PoolPage, WantedEndpoint};

#[derive(Deserialize)]
struct File {
    endpoints: Vec<Value>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    #[serde(default = "default_namespace")]
    namespace: String,
    address: String,
    port: Port,
    #[serde(default)]
    labels: Labels,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Port {
    Number(u16),
    Text(String),
}

fn default_namespace() -> String {
    "default".to_owned()
}

/// The label of an endpoint that stands for a pool with the host of that pool's metrics, and the one with the port.
const POOL_LABELS: (&str, &str) = ("metricsAddress", "metricsPort");

/// The longest name of a host, in bytes.
const LONGEST_NAME: usize = 253;

/// The endpoints of a file, and the faults of those of its entries that are left out.
#[derive(Debug, Default, PartialEq)]
pub struct Listed {
    /// The endpoints.
    pub endpoints: Vec<ListedEndpoint>,
    /// One message for each bad entry, naming it.
    pub skipped: Vec<String>,
}

/// An endpoint as a file says it.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedEndpoint {
    name: String,
    namespace: String,
    /// Where it serves requests.
    at: (Host, u16),
    labels: Labels,
    /// Where the pool that it stands for has its metrics, if elsewhere.
    pool: Option<(Host, u16)>,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// By its address.
    Ip(IpAddr),
    /// By its name.
    Name(Arc<str>),
}

impl Host {
    /// Reads an address, or, if `names` may be there, the name of a host.
    fn parse(text: &str, names: bool) -> Result<Self, String> {
        let label = |label: &str| {
            let ends = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
            let bytes = label.as_bytes();
            let middle = bytes.iter().all(|c| ends(c) || *c == b'-');
            middle
                && (1..=63).contains(&bytes.len())
                && bytes.first().is_some_and(ends)
                && bytes.last().is_some_and(ends)
        };
        match text.parse() {
            Ok(address) => Ok(Self::Ip(address)),
            Err(_) if names && text.len() <= LONGEST_NAME && text.split('.').all(label) => {
                Ok(Self::Name(text.into()))
            }
            Err(_) if names => Err(format!("{text:?} is neither an IP address nor the name of a host")),
            Err(_) => Err(format!("{text:?} is no IP address")),
        }
    }

    fn name(&self) -> Option<&Arc<str>> {
        match self {
            Self::Ip(_) => None,
            Self::Name(name) => Some(name),
        }
    }
}

impl ListedEndpoint {
    /// The names of hosts in it.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        let pool = self.pool.as_ref().map(|(host, _)| host);
        [Some(&self.at.0), pool].into_iter().flatten().filter_map(Host::name)
    }

    /// The endpoint, whose hosts have the addresses that `known` tells.
    ///
    /// # Errors
    /// A name of which no address is known.
    pub fn wanted(&self, known: impl Fn(&str) -> Option<IpAddr>) -> Result<WantedEndpoint, Arc<str>> {
        let address = |(host, port): &(Host, u16)| match host {
            Host::Ip(address) => Ok(SocketAddr::new(*address, *port)),
            Host::Name(name) => match known(name) {
                Some(address) => Ok(SocketAddr::new(address, *port)),
                None => Err(name.clone()),
            },
        };
        let (name, namespace) = (self.name.clone(), self.namespace.clone());
        let pool = self.pool.as_ref();
        // An endpoint whose metrics can't be found serves all the same: they are unknown.
        let pages = PageHosts {
            node: None,
            pool: pool.map_or(PoolPage::Own, |pool| address(pool).map_or(PoolPage::Unknown, PoolPage::At)),
            name: pool.map_or(&self.at, |pool| pool).0.name().cloned(),
        };
        let spec = EndpointSpec {
            id: EndpointId { pod_uid: format!("{namespace}/{name}").into(), port: self.at.1, rank: 0 },
            pod: name,
            namespace,
            address: address(&self.at)?,
            labels: self.labels.clone(),
        };
        Ok(WantedEndpoint { spec, pages })
    }
}

/// Reads the text of a file, YAML or JSON. Hosts may be told by their `names`, and labels tell where pools have their
/// metrics, if it is about pools of other clusters.
///
/// # Errors
/// When it has no list of endpoints at all. A bad entry is no error.
pub fn parse(text: &str, names: bool) -> Result<Listed, String> {
    // The path is in the routing, so it may lead to any file: nothing of its text comes into the log.
    let options = serde_saphyr::options! { with_snippet: false };
    let file: File = serde_saphyr::from_str_with_options(text, options)
        .map_err(|e| format!("no list `endpoints`: {e}"))?;
    let mut listed = Listed::default();
    let mut seen = BTreeSet::new();
    for (i, value) in file.endpoints.iter().enumerate() {
        let endpoint = entry(value, names).and_then(|endpoint| {
            let id = (endpoint.namespace.clone(), endpoint.name.clone(), endpoint.at.1);
            if seen.insert(id) { Ok(endpoint) } else { Err("is there twice".to_owned()) }
        });
        match endpoint {
            Ok(endpoint) => listed.endpoints.push(endpoint),
            Err(why) => {
                let name = value["name"].as_str().unwrap_or("without a name");
                listed.skipped.push(format!("endpoints[{i}] ({name}): {why}"));
            }
        }
    }
    Ok(listed)
}

fn entry(value: &Value, names: bool) -> Result<ListedEndpoint, String> {
    let Entry { name, namespace, address, port, labels } =
        serde_path_to_error::deserialize(value).map_err(|e| e.to_string())?;
    let port_of = |text: &str, least: u16| {
        let port = text.trim().parse().ok().filter(|port| *port >= least);
        port.ok_or_else(|| format!("{text:?} is no port"))
    };
    let port = match port {
        Port::Number(port) => port,
        Port::Text(text) => port_of(&text, 0).map_err(|e| format!("port: {e}"))?,
    };
    if name.is_empty() || port == 0 {
        return Err("name must not be empty, and port must be 1 to 65535".to_owned());
    }
    let at = (Host::parse(&address, names).map_err(|e| format!("address: {e}"))?, port);
    let label =
        |label: &str| labels.get(label).map(String::as_str).filter(|value| names && !value.is_empty());
    let pool = match label(POOL_LABELS.0) {
        Some(host) => {
            let host = Host::parse(host, true).map_err(|e| format!("labels.{}: {e}", POOL_LABELS.0))?;
            let own = label(POOL_LABELS.1).map(|text| port_of(text, 1)).transpose();
            Some((host, own.map_err(|e| format!("labels.{}: {e}", POOL_LABELS.1))?.unwrap_or(port)))
        }
        None => None,
    };
    Ok(ListedEndpoint { name, namespace, at, labels, pool })
}
