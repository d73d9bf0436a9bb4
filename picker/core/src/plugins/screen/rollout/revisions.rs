//! The revisions of a pool, and the share of requests that each gets.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use smallvec::SmallVec;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::cx::Cx;
use crate::endpoint::Endpoint;
use crate::plugins::label_selector::LabelSelector;
use crate::view::{Candidates, View};

/// Counts the pods of each revision, and chooses among complete ones.
#[derive(Debug)]
pub(super) struct Revisions {
    scope: LabelSelector,
    revision_label: String,
    role_label: String,
    /// The roles of which a complete revision has a pod each; at least one.
    roles: Box<[String]>,
    weight: Weight,
    counted: ArcSwap<Counted>,
}

/// What the share of a revision is measured by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Weight {
    /// Its pods of all required roles.
    Sum,
    /// Its pods of the role that has the most in all complete revisions, the first of several.
    MaxRole,
}

/// The revisions of one list of endpoints. Counted again only when endpoints come, go or change.
#[derive(Debug)]
struct Counted {
    /// The list. It is not kept alive, and no other one can be at its place meanwhile.
    endpoints: Weak<[Arc<Endpoint>]>,
    /// For each endpoint, its revision's position; [`NONE`] for one without a revision.
    of: Box<[u32]>,
    /// In the order of their names.
    revisions: Box<[Revision]>,
}

#[derive(Clone, Copy, Debug)]
struct Revision {
    /// Hash of its name.
    hash: u64,
    /// 0 for one that is not complete.
    weight: u32,
}

/// How one of the revisions is drawn.
pub(super) enum Draw<'a> {
    /// None is: a header asks for one.
    None,
    /// By chance.
    Chance(&'a mut Cx),
    /// By a session, which gets the same one as long as shares stay.
    Session(&'a [u8]),
}

const NONE: u32 = u32::MAX;

impl Revisions {
    pub fn new(
        scope: LabelSelector,
        revision_label: String,
        role_label: String,
        roles: Vec<String>,
        weight: Weight,
    ) -> Self {
        let none: Arc<[Arc<Endpoint>]> = Arc::default();
        let nobody =
            Counted { endpoints: Arc::downgrade(&none), of: Box::default(), revisions: Box::default() };
        let counted = ArcSwap::from_pointee(nobody);
        Self { scope, revision_label, role_label, roles: roles.into(), weight, counted }
    }

    /// The label that has the revision of a pod.
    pub fn label(&self) -> &str {
        &self.revision_label
    }

    /// Leaves the candidates of the complete revision that is drawn; those of all complete ones where none is.
    pub fn screen(&self, view: &View, draw: Draw<'_>, keep: &mut Candidates) {
        let mut counted = self.counted.load();
        if !std::ptr::eq(counted.endpoints.as_ptr(), Arc::as_ptr(&view.endpoints)) {
            let new = Arc::new(self.count(view));
            self.counted.store(new.clone());
            counted = arc_swap::Guard::from_inner(new);
        }
        let Counted { of, revisions, .. } = &**counted;
        keep.retain(|i| revisions.get(of[i] as usize).is_some_and(|revision| revision.weight > 0));
        let mut there: SmallVec<[bool; 16]> = SmallVec::from_elem(false, revisions.len());
        keep.iter().for_each(|i| there[of[i] as usize] = true);
        let candidates = || (0..).zip(revisions).filter(|(n, _)| there[*n as usize]);
        let drawn = match draw {
            Draw::None => return,
            Draw::Chance(cx) => by_chance(candidates, cx),
            Draw::Session(id) => by_session(candidates, id),
        };
        keep.retain(|i| Some(of[i]) == drawn);
    }

    fn count(&self, view: &View) -> Counted {
        let revision = |endpoint: &Endpoint| {
            endpoint.labels.get(&self.revision_label).filter(|revision| !revision.is_empty()).cloned()
        };
        let mut pods: BTreeMap<String, Box<[u32]>> = BTreeMap::new();
        // The endpoints of a pod follow each other, and it counts once.
        let mut before = None;
        for endpoint in &*view.endpoints {
            let Some(revision) = revision(endpoint) else { continue };
            let counts = pods.entry(revision).or_insert_with(|| vec![0; self.roles.len()].into());
            let is_new = before.replace(&endpoint.id.pod_uid) != Some(&endpoint.id.pod_uid);
            let role = endpoint.labels.get(&self.role_label);
            let role = role.and_then(|role| self.roles.iter().position(|required| required == role));
            if let Some(role) = role.filter(|_| is_new && self.scope.matches(&endpoint.labels)) {
                counts[role] += 1;
            }
        }
        let complete = |counts: &[u32]| counts.iter().all(|count| *count > 0);
        let largest = {
            let total = |role: usize| -> u32 { pods.values().filter(|c| complete(c)).map(|c| c[role]).sum() };
            // Of equal ones the last is the maximum, so they are taken backwards.
            (0..self.roles.len()).rev().max_by_key(|role| total(*role)).unwrap_or_default()
        };
        let weight = |counts: &[u32]| match self.weight {
            _ if !complete(counts) => 0,
            Weight::Sum => counts.iter().sum(),
            Weight::MaxRole => counts[largest],
        };
        let names: Vec<_> = pods.keys().collect();
        let position = |name: &String| names.binary_search(&name).map_or(NONE, |position| position as u32);
        let of = |endpoint: &Arc<Endpoint>| revision(endpoint).map_or(NONE, |name| position(&name));
        Counted {
            endpoints: Arc::downgrade(&view.endpoints),
            of: view.endpoints.iter().map(of).collect(),
            revisions: pods
                .iter()
                .map(|(name, counts)| Revision { hash: xxh3_64(name.as_bytes()), weight: weight(counts) })
                .collect(),
        }
    }
}

/// One of the candidates, in proportion to their weights.
fn by_chance<'a, I: Iterator<Item = (u32, &'a Revision)>>(
    candidates: impl Fn() -> I,
    cx: &mut Cx,
) -> Option<u32> {
    let total: u64 = candidates().map(|(_, revision)| u64::from(revision.weight)).sum();
    let draw = cx.unit() * total as f64;
    let mut sum = 0.0;
    let drawn = candidates().find(|(_, revision)| {
        sum += f64::from(revision.weight);
        draw < sum
    });
    drawn.or_else(|| candidates().last()).map(|(n, _)| n)
}

/// The same for a session: by hashes, weighted as in rendezvous hashing (Schindler and Schomaker), so that where shares change, no more
/// sessions move than have to.
fn by_session<'a, I: Iterator<Item = (u32, &'a Revision)>>(
    candidates: impl Fn() -> I,
    id: &[u8],
) -> Option<u32> {
    let session = xxh3_64(id);
    let cost = |revision: &Revision| {
        let hash = xxh3_64_with_seed(&revision.hash.to_le_bytes(), session);
        let unit = ((hash >> 11) as f64 + 0.5) / 2.0_f64.powi(53);
        -unit.ln() / f64::from(revision.weight)
    };
    candidates().min_by(|(_, a), (_, b)| cost(a).total_cmp(&cost(b))).map(|(n, _)| n)
}
