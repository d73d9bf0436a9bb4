//! The snapshot of a strategy: the state of the cluster around it at one moment, on which all decisions of one
//! reconcile are made.

use std::sync::Arc;

use crds::{Pool, PoolGroup, RoutingStrategy, history};
use kube::core::DynamicObject;

use super::memory::Remembered;
use super::ownership::{Claimant, Ownership, ownership};
use crate::cache::PodFacts;
use crate::kinds::Kind;
use crate::lease::Overlap;
use crate::names;

/// The state of the cluster around one strategy, as a reconcile sees it.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub strategy: Arc<RoutingStrategy>,
    /// The other strategies of its namespace.
    pub others: Vec<Arc<RoutingStrategy>>,
    /// All pools of its namespace.
    pub pools: Vec<Arc<Pool>>,
    /// The groups whose pools are not known, since their API is not installed.
    pub unserved: Vec<PoolGroup>,
    /// Whether ServiceMonitors can be made.
    pub monitors: bool,
    /// Objects that carry the strategy's label, and those that have the name of its pickers and carry another's.
    pub owned: Vec<(Kind, Arc<DynamicObject>)>,
    /// All pods of its namespace.
    pub pods: Vec<Arc<PodFacts>>,
    /// What this process wrote, and the caches may not have yet.
    pub remembered: Remembered,
    /// Whether it is deleted with the wish that what was made for it stays (`--cascade=orphan`).
    pub orphans: bool,
    /// Other operators that are set to work on it too.
    pub overlap: Option<Overlap>,
}

impl Snapshot {
    pub fn name(&self) -> &str {
        self.strategy.metadata.name.as_deref().unwrap_or_default()
    }

    pub fn namespace(&self) -> &str {
        self.strategy.metadata.namespace.as_deref().unwrap_or_default()
    }

    pub fn uid(&self) -> &str {
        self.strategy.metadata.uid.as_deref().unwrap_or_default()
    }

    pub fn generation(&self) -> i64 {
        self.strategy.metadata.generation.unwrap_or_default()
    }

    /// Whether the status is about this generation.
    pub fn is_told(&self) -> bool {
        self.strategy.status.as_ref().is_some_and(|status| status.observed_generation == self.generation())
    }

    pub fn is_deleting(&self) -> bool {
        self.strategy.metadata.deletion_timestamp.is_some()
    }

    pub fn has_finalizer(&self) -> bool {
        self.strategy.metadata.finalizers.iter().flatten().any(|f| f == names::FINALIZER)
    }

    /// The last accepted revision, which pickers are to serve: that of the newest routing in the history. The
    /// status has it too, but every picker may write that.
    pub fn revision(&self) -> Option<&str> {
        let cached = history::slots(self.name()).filter_map(|slot| {
            let live = self.object(Kind::ControllerRevision, &slot).filter(|live| self.owns(live))?;
            let revision = live.metadata.labels.as_ref()?.get(history::REVISION_LABEL)?;
            Some((live.data["revision"].as_i64()?, revision.as_str()))
        });
        let written = self.remembered.kept.iter().map(|kept| (kept.number, kept.revision.as_str()));
        // Of two with the same number the cache has the older.
        cached.chain(written).max_by_key(|(number, _)| *number).map(|(_, revision)| revision)
    }

    /// Whether the accepted routing stays whatever becomes of the spec. A strategy that never had one takes its first.
    pub fn holds_routing(&self) -> bool {
        self.strategy.spec.paused.routing && self.revision().is_some()
    }

    /// The revision of which the status says that pickers are to serve it.
    pub fn told_revision(&self) -> Option<&str> {
        self.strategy.status.as_ref()?.revision.as_deref()
    }

    /// The object of `kind` called `name`, whoever owns it.
    pub fn object(&self, kind: Kind, name: &str) -> Option<&Arc<DynamicObject>> {
        let found = self.owned.iter().find(|(k, o)| *k == kind && o.metadata.name.as_deref() == Some(name));
        found.map(|(_, object)| object)
    }

    /// Whether `object` belongs to this strategy, or to a former one of the same name.
    pub fn owns(&self, object: &DynamicObject) -> bool {
        self.ownership(object) == Ownership::Own
    }

    /// Who owns `object`.
    pub fn ownership(&self, object: &DynamicObject) -> Ownership<'_> {
        let (namespace, name, uid) = (self.namespace(), self.name(), self.uid());
        ownership(Claimant { namespace, name, uid, others: &self.others }, object)
    }

    /// Whether anything is there that was made for it.
    pub fn owns_anything(&self) -> bool {
        self.owned.iter().any(|(_, live)| self.owns(live))
    }

    /// Name of what it has outside of its namespace.
    pub fn cluster_name(&self) -> String {
        names::cluster(self.namespace(), self.name())
    }

    /// The ready pickers of this strategy: the pods of its Deployments. Whoever may make a pod can give it any
    /// label, and pods that were taken over carry the name of another strategy.
    pub fn ready_pickers(&self) -> impl Iterator<Item = &Arc<PodFacts>> {
        let deployments: Vec<_> = self
            .owned
            .iter()
            .filter(|(kind, live)| *kind == Kind::Deployment && self.owns(live))
            .filter_map(|(_, live)| live.metadata.name.as_deref())
            .collect();
        let pickers = self.pods.iter().filter(|pod| pod.ready && pod.is_picker());
        pickers.filter(move |pod| deployments.iter().any(|deployment| pod.is_of(deployment)))
    }

    /// The pods of the Deployment called `deployment`, which is this strategy's.
    pub fn pickers_of(&self, deployment: &str) -> impl Iterator<Item = &PodFacts> {
        let pickers = self.pods.iter().filter(|pod| pod.is_picker());
        pickers.filter(move |pod| pod.is_of(deployment)).map(|pod| &**pod)
    }

    /// Whether a picker that the operator made is of a Deployment that is not this strategy's any more.
    pub fn has_passed_on(&self, pod: &PodFacts) -> bool {
        let ours = pod.labels.get(names::MANAGED_BY).is_some_and(|by| by == names::MANAGED_BY_WAYPOST);
        let not_ours = |name: &str| {
            let made = self.remembered.made.contains(&(Kind::Deployment, name.to_owned()));
            !made && self.object(Kind::Deployment, name).is_none_or(|live| !self.owns(live))
        };
        ours && pod.is_picker() && pod.deployment().is_some_and(not_ours)
    }

    /// Whether a picker answers behind the Service called `picker`.
    pub fn is_available(&self, picker: &str) -> bool {
        self.object(Kind::Deployment, picker).is_some_and(|live| {
            self.owns(live)
                && live.metadata.deletion_timestamp.is_none()
                && live.data["status"]["availableReplicas"].as_i64() > Some(0)
        })
    }

    /// Whether a gateway may still send to the pickers called `picker`: their pool is there, and they answer.
    pub fn serves_a_pool(&self, picker: &str) -> bool {
        let present = |pool: &Pool| pool.metadata.deletion_timestamp.is_none();
        let of_picker = |pool: &Pool| names::picker(pool.group, pool.name()) == picker;
        self.pools.iter().any(|pool| present(pool) && of_picker(pool)) && self.is_available(picker)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::strategy::memory::KeptRevision;
    use crate::strategy::testing::{former_owner, snapshot};

    fn slot(index: usize, number: i64, revision: &str, owner: &str) -> (Kind, Arc<DynamicObject>) {
        let object: Value = json!({
            "metadata": {
                "name": format!("chat-routing-{index}"), "namespace": "llm",
                "labels": {history::REVISION_LABEL: revision}, "ownerReferences": [former_owner(owner, "uid")],
            },
            "revision": number,
        });
        (Kind::ControllerRevision, Arc::new(serde_json::from_value(object).unwrap()))
    }

    #[test]
    fn the_last_accepted_revision_is_that_of_the_history() {
        let mut world = snapshot();
        Arc::make_mut(&mut world.strategy).status.get_or_insert_default().revision =
            Some("forged".to_owned());
        assert_eq!((world.revision(), world.told_revision()), (None, Some("forged")));
        world.owned = vec![
            slot(0, 8, "b", "chat"),
            slot(1, 7, "a", "chat"),
            slot(2, 9, "of another", "gone"),
            slot(77, 9, "no slot", "chat"),
        ];
        assert_eq!(world.revision(), Some("b"));
        world.remembered.kept = Some(KeptRevision { number: 8, revision: "c".to_owned() });
        assert_eq!(world.revision(), Some("c"));
        world.remembered.kept = Some(KeptRevision { number: 6, revision: "z".to_owned() });
        assert_eq!(world.revision(), Some("b"));
    }
}
