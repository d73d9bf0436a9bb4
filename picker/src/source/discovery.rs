//! The endpoints of a file (`file-discovery`), in llm-d's format:
//!
//! ```yaml
//! endpoints:
//! - {name: a, namespace: default, address: 10.0.0.7, port: "8000", labels: {role: decode}}
//! ```

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use picker_core::discovery::FileDiscovery;
use picker_core::endpoint::{EndpointId, EndpointSpec, Labels};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;

use super::Serving;
use super::file::WatchedFile;
use crate::watch::Wanted;

#[cfg(test)]
mod tests;

#[derive(Deserialize)]
struct File {
    endpoints: Vec<Value>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    #[serde(default = "default_namespace")]
    namespace: String,
    address: IpAddr,
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

/// The endpoints of a file, and the faults of those of its entries that are left out.
#[derive(Debug, Default, PartialEq)]
pub struct Discovered {
    /// The endpoints.
    pub endpoints: Vec<EndpointSpec>,
    /// One message for each bad entry, naming it.
    pub skipped: Vec<String>,
}

/// Reads the text of a file, YAML or JSON.
///
/// # Errors
/// When it has no list of endpoints at all. A bad entry is no error.
pub fn parse(text: &str) -> Result<Discovered, String> {
    // The path is in the routing, so it may lead to any file: nothing of its text comes into the log.
    let options = serde_saphyr::options! { with_snippet: false };
    let file: File = serde_saphyr::from_str_with_options(text, options)
        .map_err(|e| format!("no list `endpoints`: {e}"))?;
    let mut discovered = Discovered::default();
    let mut seen = BTreeSet::new();
    for (i, value) in file.endpoints.iter().enumerate() {
        let spec = entry(value).and_then(|spec| {
            if seen.insert(spec.id.clone()) { Ok(spec) } else { Err("is there twice".to_owned()) }
        });
        match spec {
            Ok(spec) => discovered.endpoints.push(spec),
            Err(why) => {
                let name = value["name"].as_str().unwrap_or("without a name");
                discovered.skipped.push(format!("endpoints[{i}] ({name}): {why}"));
            }
        }
    }
    Ok(discovered)
}

fn entry(value: &Value) -> Result<EndpointSpec, String> {
    let Entry { name, namespace, address, port, labels } =
        serde_path_to_error::deserialize(value).map_err(|e| e.to_string())?;
    let port = match port {
        Port::Number(port) => port,
        Port::Text(text) => text.trim().parse().map_err(|_| format!("port: {text:?} is no port"))?,
    };
    if name.is_empty() || port == 0 {
        return Err("name must not be empty, and port must be 1 to 65535".to_owned());
    }
    Ok(EndpointSpec {
        id: EndpointId { pod_uid: format!("{namespace}/{name}").into(), port, rank: 0 },
        pod: name,
        namespace,
        address: SocketAddr::new(address, port),
        labels,
    })
}

/// Keeps `wanted` at what the file of the serving strategy says. Ends when a sender or receiver is gone.
pub async fn run(mut serving: watch::Receiver<Serving>, wanted: watch::Sender<Wanted>) {
    let mut current: Option<(FileDiscovery, WatchedFile)> = None;
    loop {
        let discovery = serving.borrow_and_update().discovery.clone();
        if let Some(discovery) = discovery
            && current.as_ref().is_none_or(|(old, _)| *old != discovery)
        {
            let file = WatchedFile::new(&discovery.path);
            current = Some((discovery, file));
        }
        tokio::select! {
            changed = serving.changed() => if changed.is_err() { return },
            () = wanted.closed() => return,
            () = follow(&mut current, &wanted) => {}
        }
    }
}

/// Reads the file, and, if it is watched, every change of it. Never returns.
async fn follow(current: &mut Option<(FileDiscovery, WatchedFile)>, wanted: &watch::Sender<Wanted>) {
    let Some((discovery, file)) = current else { return std::future::pending().await };
    loop {
        let read = file.next().await.map_err(|e| e.to_string()).and_then(|text| parse(&text));
        let usable = read.is_ok();
        match read {
            Ok(Discovered { endpoints, skipped }) => {
                for why in skipped {
                    tracing::warn!(file = discovery.path, why, "an endpoint is left out");
                }
                wanted.send_replace(Some(Arc::from(endpoints)));
            }
            Err(error) => tracing::error!(file = discovery.path, error, "the endpoints can't be read"),
        }
        // A file that could not be read yet is looked at until it can.
        if usable && !discovery.watch_file {
            return std::future::pending().await;
        }
    }
}
