//! The endpoints of a file (`file-discovery`), in llm-d's format:
//!
//! ```yaml
//! endpoints:
//! - {name: a, namespace: default, address: 10.0.0.7, port: "8000", labels: {role: decode}}
//! ```
//!
//! Those of other clusters (`multicluster-file-discovery`) may be told by the names of their hosts.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;

use picker_core::discovery::FileDiscovery;
use tokio::sync::watch;
use tokio::time::sleep;

use super::Serving;
use super::file::WatchedFile;
use crate::watch::{Wanted, WantedEndpoint};
use listed::{Listed, ListedEndpoint, parse};
use names::{AGAIN, LookUp, MOST, Names, of_system};

mod listed;
mod names;
#[cfg(test)]
mod tests;

/// Keeps `wanted` at what the file of the serving strategy says. Ends when a sender or receiver is gone.
pub async fn run(serving: watch::Receiver<Serving>, wanted: watch::Sender<Wanted>) {
    run_with(serving, wanted, of_system()).await;
}

/// The same with another way to look names up.
async fn run_with(mut serving: watch::Receiver<Serving>, wanted: watch::Sender<Wanted>, look_up: LookUp) {
    let mut current: Option<Followed> = None;
    loop {
        let discovery = serving.borrow_and_update().discovery.clone();
        if let Some(discovery) = discovery
            && current.as_ref().is_none_or(|followed| followed.discovery != discovery)
        {
            current = Some(Followed::new(discovery, look_up.clone()));
        }
        let follow = async {
            match &mut current {
                Some(followed) => followed.follow(&wanted).await,
                None => pending().await,
            }
        };
        tokio::select! {
            changed = serving.changed() => if changed.is_err() { return },
            () = wanted.closed() => return,
            () = follow => {}
        }
    }
}

/// A file that is followed. What it does may be given up at any time, and begun again.
struct Followed {
    discovery: FileDiscovery,
    file: WatchedFile,
    /// What it says, once it can be read.
    listed: Option<Vec<ListedEndpoint>>,
    names: Names,
    /// Whether the names in it are still to be looked up.
    due: bool,
    /// The hosts whose endpoints are left out, as the log has it.
    left_out: BTreeSet<Arc<str>>,
}

impl Followed {
    fn new(discovery: FileDiscovery, look_up: LookUp) -> Self {
        let file = WatchedFile::new(&discovery.path);
        Self {
            discovery,
            file,
            listed: None,
            names: Names::new(look_up),
            due: false,
            left_out: BTreeSet::new(),
        }
    }

    /// Reads the file, and, if it is watched, every change of it, and looks names up again. Never returns.
    async fn follow(&mut self, wanted: &watch::Sender<Wanted>) {
        loop {
            if self.due {
                let listed = self.listed.as_deref().unwrap_or_default();
                self.names.follow(listed.iter().flat_map(ListedEndpoint::names)).await;
                self.due = false;
                self.tell(wanted);
            }
            // A file that could not be read yet is looked at until it can.
            let is_read = self.listed.is_none() || self.discovery.watch_file;
            let again = !self.names.is_empty();
            let read = tokio::select! {
                read = self.file.next(), if is_read => read,
                () = sleep(AGAIN), if again => {
                    self.due = true;
                    continue;
                }
                else => pending().await,
            };
            match read.map_err(|e| e.to_string()).and_then(|text| parse(&text, self.discovery.host_names)) {
                Ok(Listed { endpoints, skipped }) => {
                    for why in skipped {
                        tracing::warn!(file = self.discovery.path, why, "an endpoint is left out");
                    }
                    self.listed = Some(endpoints);
                    self.due = true;
                }
                Err(error) => {
                    tracing::error!(file = self.discovery.path, error, "the endpoints can't be read");
                }
            }
        }
    }

    /// Tells the endpoints of which there is an address.
    fn tell(&mut self, wanted: &watch::Sender<Wanted>) {
        let address = |name: &str| self.names.get(name);
        let (mut endpoints, mut left_out): (Vec<WantedEndpoint>, _) = (Vec::new(), BTreeSet::new());
        for listed in self.listed.iter().flatten() {
            match listed.wanted(address) {
                Ok(endpoint) => endpoints.push(endpoint),
                Err(host) => {
                    if !self.left_out.contains(&host) {
                        tracing::warn!(
                            file = self.discovery.path,
                            host = &*host,
                            most = MOST,
                            "an endpoint is left out: its host has no address, or comes after the most names that are looked up"
                        );
                    }
                    left_out.insert(host);
                }
            }
        }
        self.left_out = left_out;
        let endpoints: Arc<[WantedEndpoint]> = endpoints.into();
        wanted.send_if_modified(|old| {
            let changed = old.as_ref() != Some(&endpoints);
            *old = Some(endpoints);
            changed
        });
    }
}
