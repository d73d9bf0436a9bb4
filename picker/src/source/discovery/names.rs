//! The addresses of hosts that are told by their names.
//!
//! Gateways are told the address of an endpoint, not its name, so that names are looked up here: not for a request, but when
//! a file is read, and from time to time.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::time::timeout;

use crate::reserved_address::is_elsewhere;

/// The time after which names are looked up again.
pub(super) const AGAIN: Duration = Duration::from_secs(30);

/// The longest that one name may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Names that are looked up at a time.
const AT_ONCE: usize = 16;

/// The most names that are looked up.
pub(super) const MOST: usize = 1024;

/// Looks a name up.
pub type LookUp = Arc<dyn Fn(Arc<str>) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// As the system does it.
pub fn of_system() -> LookUp {
    Arc::new(|name| {
        Box::pin(async move {
            // The port is not looked at.
            let found = tokio::net::lookup_host((&*name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// The names of hosts, with the addresses that they had when they were last looked up.
pub(super) struct Names {
    look_up: LookUp,
    known: BTreeMap<Arc<str>, Known>,
}

/// What is known of a name.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The address that it had; `None` for one that was never found.
    address: Option<IpAddr>,
    /// Whether it was not found the last time, of which the log has one line.
    lost: bool,
}

impl Names {
    /// Nothing was looked up yet.
    pub fn new(look_up: LookUp) -> Self {
        Self { look_up, known: BTreeMap::new() }
    }

    /// The address of `name`, if it was ever found.
    pub fn get(&self, name: &str) -> Option<IpAddr> {
        self.known.get(name)?.address
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Looks `names` up, the first [`MOST`] of them, and forgets all others. One that is not found keeps the address that it
    /// had; one with several keeps its own while it is among them.
    pub async fn follow(&mut self, names: impl Iterator<Item = &Arc<str>>) {
        let mut wanted = BTreeMap::new();
        for name in names {
            if wanted.len() < MOST {
                let known = || self.known.get(name).copied().unwrap_or_default();
                wanted.entry(name.clone()).or_insert_with(known);
            }
        }
        let look_up = |(name, old): (Arc<str>, Known)| {
            let found = timeout(DEADLINE, (self.look_up)(name.clone()));
            async move {
                let found = found.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                let new = old.after(&name, found);
                (name, new)
            }
        };
        let found = futures::stream::iter(wanted.into_iter().map(look_up)).buffer_unordered(AT_ONCE);
        self.known = found.collect::<Vec<_>>().await.into_iter().collect();
    }
}

impl Known {
    /// What is known of `name` after it was looked up.
    fn after(self, name: &str, found: io::Result<Vec<IpAddr>>) -> Self {
        let found = found.and_then(|found| {
            choose(&found, self.address)
                .ok_or_else(|| io::Error::other("it has no address that a server elsewhere can have"))
        });
        match found {
            Ok(address) => {
                if self.lost {
                    tracing::info!(host = name, %address, "the name of an endpoint's host is found again");
                }
                Self { address: Some(address), lost: false }
            }
            Err(error) => {
                if !self.lost {
                    let kept = self.address;
                    tracing::warn!(host = name, %error, ?kept, "the name of an endpoint's host is not found");
                }
                Self { lost: true, ..self }
            }
        }
    }
}

/// The address among `found` to use: the `old` one if it is there, else one of IPv4, of several the lowest. Never one of the
/// gateway's own node or of a metadata service, to which whoever has the name could lead requests.
fn choose(found: &[IpAddr], old: Option<IpAddr>) -> Option<IpAddr> {
    let usable = || found.iter().copied().filter(|address| is_elsewhere(*address));
    let kept = old.filter(|old| usable().any(|address| address == *old));
    kept.or_else(|| usable().min_by_key(|address| (address.is_ipv6(), *address)))
}

#[cfg(test)]
mod tests;
