//! The Leases of namespaces, as a watch and reads of single ones tell of them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::runtime::watcher::Event;
use tokio::time::Instant;

use super::super::record::Seen;

/// The most characters that are kept of a holder's name.
const LONGEST_NAME: usize = 256;

/// The Leases of namespaces as they are known.
///
/// One that was not renewed in time, as far as the watch tells, is read before it counts as run out: the watch may have been
/// away, and its holder works on.
#[derive(Default)]
pub(super) struct Leases {
    known: BTreeMap<String, Known>,
    listing: BTreeSet<String>,
    /// Whether the watch has listed them.
    pub listed: bool,
}

#[derive(Default)]
struct Known {
    spec: Option<LeaseSpec>,
    seen: Seen,
    reading: Reading,
}

/// How far it is with the reading of a Lease that seems to have run out.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Reading {
    /// It does not seem so.
    #[default]
    None,
    /// It is to be read.
    Due,
    /// It is read now.
    Asked,
    /// It could not be read.
    Failed,
    /// It was read, and has run out.
    Done,
}

/// What was read of a Lease.
pub(super) struct Read {
    pub namespace: String,
    /// As it was known before.
    pub asked: Option<LeaseSpec>,
    /// As it is, if it is there; `None`: it could not be read, and counts as held.
    pub answer: Option<Option<Lease>>,
}

impl Leases {
    /// Notes an event of the watch.
    pub fn note(&mut self, event: Event<Lease>) {
        match event {
            Event::Init => self.listing.clear(),
            Event::InitApply(lease) => {
                self.listing.insert(lease.metadata.namespace.clone().unwrap_or_default());
                self.put(lease);
            }
            Event::InitDone => {
                let listing = std::mem::take(&mut self.listing);
                self.known.retain(|namespace, _| listing.contains(namespace));
                self.listed = true;
            }
            Event::Apply(lease) => self.put(lease),
            Event::Delete(lease) => {
                self.known.remove(lease.metadata.namespace.as_deref().unwrap_or_default());
            }
        }
    }

    fn put(&mut self, lease: Lease) {
        let namespace = lease.metadata.namespace.unwrap_or_default();
        let spec = short(lease.spec);
        let known = self.known.entry(namespace).or_default();
        if known.spec != spec {
            known.reading = Reading::None;
        }
        known.spec = spec;
    }

    /// At most `count` Leases that are to be read, which then are asked for: their namespaces, and how they are known.
    pub fn unclear(&mut self, count: usize) -> Vec<(String, Option<LeaseSpec>)> {
        let due = self.known.iter_mut().filter(|(_, known)| known.reading == Reading::Due).take(count);
        due.map(|(namespace, known)| {
            known.reading = Reading::Asked;
            (namespace.clone(), known.spec.clone())
        })
        .collect()
    }

    /// Notes what was read of a Lease.
    pub fn note_read(&mut self, read: Read) {
        let Read { namespace, asked, answer } = read;
        let Some(known) = self.known.get_mut(&namespace) else { return };
        // The watch was quicker.
        if known.spec != asked {
            return;
        }
        match answer {
            None => known.reading = Reading::Failed,
            Some(None) => drop(self.known.remove(&namespace)),
            Some(Some(lease)) => {
                let spec = short(lease.spec);
                known.reading = if spec == known.spec { Reading::Done } else { Reading::None };
                known.spec = spec;
            }
        }
    }

    /// Asks again for what could not be read.
    pub fn asks_again(&mut self) {
        for known in self.known.values_mut().filter(|known| known.reading == Reading::Failed) {
            known.reading = Reading::Due;
        }
    }

    /// The namespaces whose Lease another than `operator` holds now.
    pub fn held(&mut self, operator: &str, now: Instant) -> BTreeMap<String, String> {
        let held = self.known.iter_mut().filter_map(|(namespace, known)| {
            let holder = known.spec.as_ref()?.holder_identity.clone()?;
            let lease = Lease { spec: known.spec.clone(), ..Lease::default() };
            let may_take = known.seen.may_take(&lease, operator, now);
            if may_take && (holder.is_empty() || holder == operator) {
                return None;
            }
            if may_take && known.reading == Reading::None {
                known.reading = Reading::Due;
            }
            (known.reading != Reading::Done).then(|| (namespace.clone(), holder))
        });
        held.collect()
    }
}

/// The content of a Lease with at most so much of the holder's name as is kept: whoever may write the Lease chooses it.
fn short(mut spec: Option<LeaseSpec>) -> Option<LeaseSpec> {
    if let Some(holder) = spec.as_mut().and_then(|spec| spec.holder_identity.as_mut()) {
        *holder = holder.chars().take(LONGEST_NAME).collect();
    }
    spec
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use k8s_openapi::jiff::Timestamp;

    use super::super::super::record::{held, released};
    use super::super::NAMESPACE_LEASE;
    use super::*;

    /// The Lease of a namespace, renewed at this second.
    pub fn lease(namespace: &str, second: i64) -> Lease {
        let mut lease =
            held(None, "team/waypost", Duration::from_secs(10), Timestamp::from_second(second).unwrap());
        lease.metadata.namespace = Some(namespace.to_owned());
        lease.metadata.name = Some(NAMESPACE_LEASE.to_owned());
        lease
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_is_anothers_while_its_lease_is_renewed() {
        let mut leases = Leases::default();
        let of = |leases: &mut Leases| {
            leases.held("system/waypost", Instant::now()).into_keys().collect::<Vec<_>>()
        };
        for event in
            [Event::Init, Event::InitApply(lease("a", 0)), Event::InitApply(lease("b", 0)), Event::InitDone]
        {
            leases.note(event);
        }
        assert_eq!(of(&mut leases), ["a", "b"]);
        tokio::time::advance(Duration::from_secs(9)).await;
        leases.note(Event::Apply(lease("a", 9)));
        assert_eq!(of(&mut leases), ["a", "b"]);
        tokio::time::advance(Duration::from_secs(1)).await;
        // The watch may have been away.
        assert_eq!(of(&mut leases), ["a", "b"]);
        let read = |leases: &mut Leases, answer: Option<Option<Lease>>| {
            let asked = leases.unclear(8);
            assert_eq!(asked.iter().map(|(namespace, _)| namespace.as_str()).collect::<Vec<_>>(), ["b"]);
            assert_eq!(leases.unclear(8), []);
            leases.note_read(Read { namespace: "b".to_owned(), asked: asked[0].1.clone(), answer });
        };
        read(&mut leases, None);
        assert_eq!(of(&mut leases), ["a", "b"]);
        leases.asks_again();
        read(&mut leases, Some(Some(lease("b", 0))));
        assert_eq!(of(&mut leases), ["a"]);
        assert_eq!(leases.unclear(8), []);
        leases.note(Event::Apply(released(lease("a", 9), Timestamp::UNIX_EPOCH)));
        assert_eq!(of(&mut leases), [""; 0]);
        // Of our own it takes nothing away.
        assert_eq!(leases.held("team/waypost", Instant::now()), [].into());
        let mut long = lease("b", 9);
        long.spec.as_mut().unwrap().holder_identity = Some("x".repeat(9_999));
        leases.note(Event::Apply(long));
        assert_eq!(leases.held("system/waypost", Instant::now()), [("b".to_owned(), "x".repeat(256))].into());
    }
}
