//! The plan of a reconcile as a value: an ordered list of steps, each with the conditions that it waits for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crds::{Pool, PoolGroup};
use kube::core::DynamicObject;
use serde_json::{Map, Value};

use crate::kinds::{Kind, Object};
use crate::strategy::binding::{BindingChange, BindingState};
use crate::strategy::event::StrategyEvent;
use crate::strategy::release::GiveBack;
use crate::strategy::silent_state::SilentState;
use crate::strategy::taken::TakenNames;

/// All writes of a reconcile, in order, and the findings that need no write.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub steps: Vec<Step>,
    /// The state of the binding of each pool that the strategy drives, once its steps are done.
    pub bindings: BTreeMap<(PoolGroup, String), BindingState>,
    /// Workloads of which names are held by something else, and by what.
    pub taken: BTreeMap<String, TakenNames>,
    /// Deployments that stay as an earlier release built them until somebody asks for more.
    pub postponed: Vec<String>,
    /// The writes that are left out while the strategy is paused.
    pub frozen: Vec<String>,
    /// Whether no object is made before the status tells of it: somebody waits for that, and many objects take long.
    pub tells_first: bool,
}

impl Plan {
    /// Appends a step, and returns its number.
    pub fn add(&mut self, action: Action, waits: Vec<Wait>) -> usize {
        self.steps.push(Step { action, waits });
        self.steps.len() - 1
    }

    /// Waits for all steps so far, however they end, but for the promise to clean up, which has to succeed.
    pub fn all_so_far(&self) -> Vec<Wait> {
        let promise = self.steps.first().filter(|step| step.action == Action::AddFinalizer);
        let after =
            (self.steps.len() > usize::from(promise.is_some())).then_some(Wait::AllBefore(self.steps.len()));
        promise.map(|_| Wait::Success(0)).into_iter().chain(after).collect()
    }
}

/// A step: a write, and the conditions that it waits for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    pub action: Action,
    pub waits: Vec<Wait>,
}

/// A condition of a step. Steps that don't wait for each other run at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The end of every step before this number, however it went.
    AllBefore(usize),
    /// The end of a step, however it went.
    End(usize),
    /// The success of a step; without it this one is left out.
    Success(usize),
    /// The end of a step other than by finding its object's name taken; else this one is left out.
    NameFree(usize),
    /// The time until connections to the Service of this workload arrive, from every node.
    Reach(String),
    /// The time for which pickers serve on after their pool was given back, counted by this UID.
    Hold(String),
    /// The time for which another strategy may take to have a pool that passes to it, counted by this name.
    Handover(String),
}

/// A write to the cluster, or a question to the API server right before one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Keeps an accepted routing in the history.
    Keep(Keep),
    /// Adds the finalizer: the promise to give back and to clean up.
    AddFinalizer,
    /// Applies an object of which the caches know nothing, once the API server knows nothing of it either.
    Make { workload: String, object: Box<Object> },
    /// Asks whether an object is another's whose name this strategy wants, where nothing is made since others are.
    Look { workload: String, kind: Kind, name: String },
    /// Makes an object of the history this strategy's by a merge patch.
    Claim { kind: Kind, live: Arc<DynamicObject>, patch: Value },
    /// Applies an object that differs from what is wanted.
    Alter { workload: String, alteration: Box<Alteration> },
    /// Rolls a Deployment to this release of the operator when its turn comes.
    Upgrade { workload: String, upgrade: Box<Upgrade> },
    /// Changes a pool's reference or record.
    Bind { pool: Arc<Pool>, change: BindingChange },
    /// Restores a pool's previous reference.
    GiveBack {
        give: GiveBack,
        /// Whether to give up when the API server has refused it for long.
        may_give_up: bool,
    },
    /// Looks why a pod is not ready whose status does not say it.
    Inspect {
        /// Name of the pod.
        pod: String,
        /// What it does not come out of.
        state: SilentState,
        /// For how long it has been in that state.
        age: Duration,
    },
    /// Asks the API server itself whether the strategy holds a pool of one of these groups still.
    ConfirmNothingHeld(Vec<PoolGroup>),
    /// Deletes an object of this strategy, whatever the caches say of it.
    DeleteUnseen { kind: Kind, name: String },
    /// Removes the finalizer.
    RemoveFinalizer,
    /// Deletes an object that is not wanted any more.
    Delete { kind: Kind, live: Arc<DynamicObject> },
    /// Tells Events.
    Tell(Vec<StrategyEvent>),
    /// Merges a patch into the status, and then tells Events. Does neither when the patch is empty.
    Report(Report),
}

impl Action {
    /// Whether there may be hundreds of its kind in one plan, for none of which anybody waits in particular.
    pub fn is_bulk(&self) -> bool {
        let ends = matches!(self, Self::Delete { .. } | Self::DeleteUnseen { .. });
        ends || matches!(self, Self::Make { .. } | Self::Alter { .. } | Self::Upgrade { .. })
    }
}

/// The write of an accepted routing to the history.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Keep {
    pub revision: String,
    /// The larger, the newer.
    pub number: i64,
    pub slot: Slot,
}

/// The place of a routing in the history.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Slot {
    /// The slot that has it already.
    Same(String),
    /// The first slot of `empty` that holds no other's object, or else that of `oldest`, which is deleted.
    Free { empty: Vec<String>, oldest: Option<(String, Arc<DynamicObject>)> },
}

/// The change of an object into what is wanted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Alteration {
    pub wanted: Object,
    pub live: Arc<DynamicObject>,
    /// The first field that differs.
    pub path: String,
    pub before: Vec<Before>,
}

/// A write to an object before it is applied.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Before {
    /// Delete it: a field differs that can't be changed.
    Delete,
    /// Leave this number of replicas with a manager that never changes them.
    KeepReplicas(i64),
    /// Merge a patch that takes out what others added.
    TakeOut(Value),
}

/// The roll of a Deployment to this release of the operator.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Upgrade {
    /// The change when its turn has come.
    pub now: Alteration,
    /// The change until then, if anything differs.
    pub until_then: Option<Alteration>,
}

/// A change of the status, and the Events of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Report {
    /// The fields that differ.
    pub patch: Map<String, Value>,
    /// Entries of pickers without a pod in the caches, which are removed if the API server has none either.
    pub unseen: Vec<String>,
    pub events: Vec<StrategyEvent>,
}
