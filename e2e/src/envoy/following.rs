//! An Envoy of this machine that follows the references of pools to their pickers, as the control plane of a gateway has
//! it do: each change of a reference is a new configuration, while requests go on.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Child;

use super::{parts, stats};
use crate::cluster::network;
use crate::local::{free_port_list, started};

/// How a gateway names the cluster of a picker, which decides what becomes of requests in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// After the pool, as Envoy AI Gateway: another picker replaces the cluster.
    Pool,
    /// After the Service, as Istio: another picker is another cluster, and the former stays.
    Service,
}

/// An Envoy with a listener for each of several pools. It ends with the value.
#[derive(Debug)]
pub struct Following {
    naming: Naming,
    /// Whether pickers see the bodies of responses.
    response_bodies: bool,
    folder: TempDir,
    listeners: Vec<SocketAddr>,
    admin: SocketAddr,
    /// The clusters of pickers, by name, and their hosts.
    clusters: Mutex<BTreeMap<String, (String, u16)>>,
    _envoy: Child,
}

const POOL: &str = "pool";

impl Following {
    /// Starts Envoy for as many pools as there are `pickers`, each of a host and a port. It may not answer yet.
    ///
    /// # Errors
    /// When it can't be started, or its files can't be written.
    pub fn start(
        envoy: &Path,
        naming: Naming,
        response_bodies: bool,
        pickers: &[(String, u16)],
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut addresses: Vec<SocketAddr> = free_port_list(pickers.len() + 1)?
            .into_iter()
            .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
            .collect();
        let admin = addresses.pop().context("a port")?;
        let bootstrap = folder.path().join("envoy.yaml");
        fs::write(&bootstrap, bootstrap_of(folder.path(), admin, &addresses, response_bodies).to_string())?;
        let mut clusters = BTreeMap::new();
        for (pool, picker) in pickers.iter().enumerate() {
            clusters.insert(naming.cluster(pool, picker), picker.clone());
        }
        write(folder.path(), "clusters", clusters_of(&clusters))?;
        for (pool, picker) in pickers.iter().enumerate() {
            write(
                folder.path(),
                &routes(pool),
                routes_of(pool, &naming.cluster(pool, picker), response_bodies),
            )?;
        }
        let bootstrap = bootstrap.display().to_string();
        let args = ["-c", &bootstrap, "--log-level", "error", "--concurrency", "2", "--use-dynamic-base-id"];
        let envoy = started(envoy, &args)?;
        let clusters = Mutex::new(clusters);
        Ok(Self { naming, response_bodies, folder, listeners: addresses, admin, clusters, _envoy: envoy })
    }

    /// Where requests to a pool go: `http://127.0.0.1:40001`.
    pub fn url(&self, pool: usize) -> String {
        format!("http://{}", self.listeners[pool])
    }

    /// Follows the reference of a pool to another picker.
    ///
    /// # Errors
    /// When the files can't be written.
    pub fn follow(&self, pool: usize, picker: &(String, u16)) -> Result<()> {
        let name = self.naming.cluster(pool, picker);
        let clusters = {
            let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
            clusters.insert(name.clone(), picker.clone());
            clusters_of(&clusters)
        };
        write(self.folder.path(), "clusters", clusters)?;
        if self.naming == Naming::Service {
            write(self.folder.path(), &routes(pool), routes_of(pool, &name, self.response_bodies))?;
        }
        Ok(())
    }

    /// Envoy's counters and gauges whose name contains a match of the regular expression `filter`.
    ///
    /// # Errors
    /// When its admin endpoint does not answer.
    pub async fn stats(&self, filter: &str) -> Result<BTreeMap<String, u64>> {
        stats::read(&self.admin.to_string(), filter).await
    }
}

impl Naming {
    fn cluster(self, pool: usize, (host, port): &(String, u16)) -> String {
        match self {
            Self::Pool => format!("picker-of-pool-{pool}"),
            Self::Service => format!("picker-at-{host}-{port}"),
        }
    }
}

fn routes(pool: usize) -> String {
    format!("routes-{pool}")
}

/// Writes a file as Envoy watches it: it is moved to its place.
fn write(folder: &Path, name: &str, resources: Value) -> Result<()> {
    let next = folder.join(format!("{name}.next"));
    fs::write(&next, json!({"resources": resources}).to_string())?;
    fs::rename(next, folder.join(format!("{name}.yaml"))).with_context(|| format!("writing {name}"))
}

fn bootstrap_of(folder: &Path, admin: SocketAddr, listeners: &[SocketAddr], response_bodies: bool) -> Value {
    let from = |name: &str| {
        let path = folder.join(format!("{name}.yaml"));
        json!({"path_config_source": {"path": path}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"})
    };
    let at = |address: &SocketAddr| parts::address(&address.ip().to_string(), address.port());
    let listener = |(pool, address): (usize, &SocketAddr)| {
        let filter = json!({
            "name": "envoy.filters.http.ext_proc",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
                "grpc_service": {"envoy_grpc": {"cluster_name": POOL}},
                "processing_mode": processing_mode(response_bodies),
                "message_timeout": "300s",
                "failure_mode_allow": false,
            },
        });
        let mut manager = parts::connection_manager(vec![filter, parts::router()], json!({}));
        if let Some(manager) = manager.as_object_mut() {
            manager.remove("route_config");
        }
        manager["rds"] = json!({"config_source": from(&routes(pool)), "route_config_name": routes(pool)});
        json!({
            "name": format!("pool {pool}"),
            "address": at(address),
            "per_connection_buffer_limit_bytes": 32 << 10,
            "filter_chains": [{
                "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}],
            }],
        })
    };
    json!({
        "node": {"id": "gateway", "cluster": "gateway"},
        "admin": {"address": at(&admin)},
        "dynamic_resources": {"cds_config": from("clusters")},
        "static_resources": {
            "listeners": listeners.iter().enumerate().map(listener).collect::<Vec<_>>(),
            "clusters": [parts::original_dst(POOL)],
        },
    })
}

fn processing_mode(response_bodies: bool) -> Value {
    let mut mode = parts::processing_mode("FULL_DUPLEX_STREAMED");
    if !response_bodies {
        mode["response_body_mode"] = json!("NONE");
        mode["response_trailer_mode"] = json!("SKIP");
    }
    mode
}

fn routes_of(pool: usize, cluster: &str, response_bodies: bool) -> Value {
    let mut route = parts::route_to(POOL);
    route["typed_per_filter_config"] = json!({
        "envoy.filters.http.ext_proc": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute",
            "overrides": {
                "grpc_service": {"envoy_grpc": {"cluster_name": cluster}},
                "processing_mode": processing_mode(response_bodies),
            },
        },
    });
    json!([{
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": routes(pool),
        "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}],
    }])
}

/// Each over TLS, its name looked up in the cluster's DNS.
fn clusters_of(clusters: &BTreeMap<String, (String, u16)>) -> Value {
    let cluster = |(name, (host, port)): (&String, &(String, u16))| {
        let mut cluster = parts::grpc_cluster(name, host, *port);
        cluster["@type"] = json!("type.googleapis.com/envoy.config.cluster.v3.Cluster");
        cluster["transport_socket"] = parts::any_tls();
        cluster["typed_dns_resolver_config"] = json!({
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
                "resolvers": [parts::address(network::family().addresses().dns, 53)],
            },
        });
        cluster
    };
    clusters.iter().map(cluster).collect()
}
