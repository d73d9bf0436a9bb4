//! A picker and an Envoy before it, each on ports of its own, so that several tests run beside each other.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Child;

use super::{free_ports, started};
use crate::paths;

/// A picker and an Envoy with the configuration that is shipped. They end with the value.
#[derive(Debug)]
pub struct Gateway {
    /// Where requests go.
    pub address: SocketAddr,
    /// Where the picker shows its pages.
    pub pages: SocketAddr,
    _picker: Child,
    _envoy: Child,
    _folder: TempDir,
}

/// What a gateway is made of.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// Envoy's program.
    pub envoy: &'a Path,
    /// The picker's program.
    pub picker: &'a Path,
    /// The EndpointPickerConfig, in which `ENDPOINTS` stands for the file of the endpoints.
    pub config: &'a str,
    /// The configuration of Envoy, with the ports of the one that is shipped.
    pub bootstrap: &'a str,
    /// The model servers.
    pub servers: &'a [SocketAddr],
}

impl Parts<'_> {
    /// The configuration of Envoy that is shipped.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn shipped() -> Result<String> {
        Ok(fs::read_to_string(paths::checkout().join("config/envoy/local.yaml"))?)
    }
}

impl Gateway {
    /// Starts both. They may not answer yet.
    ///
    /// # Errors
    /// When one of them can't be started, or its files not be written.
    pub async fn start(parts: Parts<'_>) -> Result<Self> {
        let [http, admin, grpc, health, pages] = free_ports()?;
        let folder = tempfile::tempdir()?;
        let write = |name: &str, text: String| -> Result<String> {
            let path = folder.path().join(name);
            fs::write(&path, text)?;
            Ok(path.display().to_string())
        };
        let endpoint = |(n, server): (usize, &SocketAddr)| json!({"name": format!("s{n}"), "address": server.ip(), "port": server.port()});
        let endpoints: Vec<_> = parts.servers.iter().enumerate().map(endpoint).collect();
        let endpoints = write("endpoints.yaml", json!({"endpoints": endpoints}).to_string())?;
        let config = write("config.yaml", parts.config.replace("ENDPOINTS", &endpoints))?;
        let mut bootstrap = parts.bootstrap.to_owned();
        for (shipped, port) in [(8081, http), (9901, admin), (9002, grpc)] {
            // As in the file, or in JSON.
            let forms = ["port_value: ", "\"port_value\":"];
            let has = |form: &&str| bootstrap.contains(&format!("{form}{shipped}}}"));
            let form = forms.into_iter().find(has);
            let form = form.with_context(|| format!("Envoy's configuration has no port {shipped}"))?;
            bootstrap = bootstrap.replace(&format!("{form}{shipped}}}"), &format!("{form}{port}}}"));
        }
        let bootstrap = write("envoy.yaml", bootstrap)?;
        let picker = started(
            parts.picker,
            &[
                &format!("--config-file={config}"),
                &format!("--grpc-port={grpc}"),
                &format!("--grpc-health-port={health}"),
                &format!("--metrics-port={pages}"),
            ],
        )?;
        let envoy =
            started(parts.envoy, &["-c", &bootstrap, "--log-level", "error", "--use-dynamic-base-id"])?;
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Ok(Self {
            address: local(http),
            pages: local(pages),
            _picker: picker,
            _envoy: envoy,
            _folder: folder,
        })
    }
}
