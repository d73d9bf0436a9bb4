//! The outcome of a plan: the results of all its steps, summed up for the status. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crds::{Pool, PoolGroup};
use kube::core::DynamicObject;
use serde_json::Value;

use super::binding::{BindingChange, BindingState};
use super::plan::{Action, Plan, Step};
use super::pod_warning::PodWarning;
use super::record::Record;
use super::snapshot::Snapshot;
use super::taken::TakenNames;
use super::write_error::WriteError;
use crate::kinds::Kind;

/// How often to look whether a name has become free that something foreign holds, or an object is accepted.
const NAME_TAKEN_AGAIN: Duration = Duration::from_secs(30);
/// How often to try to bind a pool again of which the API server refused it.
const BIND_AGAIN: Duration = Duration::from_secs(30);
/// How often to try to give a pool back again of which the API server refused it.
const GIVE_BACK_AGAIN: Duration = Duration::from_secs(10);
/// How soon to try to remove the finalizer again when a pool turned out to be held still.
const FINISH_AGAIN: Duration = Duration::from_secs(5);

/// The result of one step.
#[derive(Debug)]
pub(super) enum StepResult {
    Done,
    /// A Deployment was written: this is it, as the API server returned it.
    Stored(Box<DynamicObject>),
    /// A Deployment stays as an earlier release built it; what became of keeping it so, and, if it is in the queue, when to
    /// ask whether its turn has come.
    Postponed {
        result: Box<StepResult>,
        again: Option<Duration>,
    },
    /// Something that is not the strategy's has the name: this is it.
    Taken(TakenNames),
    /// The API server will refuse the same again: its words.
    Refused(String),
    /// Another manager holds a field that was to be applied without force.
    FieldConflict,
    /// A pool's former reference was refused for so long that the pool was let go as it is: the API server's words.
    GivenUp(String),
    /// The latest warning about a pod, if it was asked for, and when to ask again, if at all.
    Inspected {
        warning: Option<Option<PodWarning>>,
        again: Option<Duration>,
    },
    /// The strategy still holds this pool.
    StillHolds(String),
    /// The step has to wait for this long: pickers serve on.
    Held(Duration),
    /// The step was left to the next reconcile, which comes at once.
    Later,
    /// The step was left out, since one that it needs has not succeeded.
    Skipped,
    /// The step failed, and is tried again.
    Failed(WriteError),
}

impl StepResult {
    /// Whether steps that need this one may run.
    pub fn is_success(&self) -> bool {
        match self {
            Self::Postponed { result, .. } => result.is_success(),
            result => matches!(result, Self::Done | Self::Stored(_) | Self::GivenUp(_)),
        }
    }
}

/// A pool whose reference was replaced now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BoundPool {
    pub pool: String,
    /// The Service that it names now.
    pub picker: String,
    /// The name of what it named before, if anything.
    pub before: Option<String>,
    /// Who had put that in the place of ours; `None` where it had not been ours.
    pub flipped_by: Option<String>,
    /// Its failure mode before, if it named a picker.
    pub former_mode: Option<String>,
    /// Its failure mode now.
    pub mode: Option<String>,
}

impl BoundPool {
    fn of(pool: &Pool, record: &Record) -> Self {
        let flips = Record::read(pool).map(|before| before.flips).unwrap_or_default();
        let flip = record.flips.last().filter(|flip| Some(*flip) != flips.last());
        let name = |reference: &Value| reference["name"].as_str().map(str::to_owned);
        let former_mode = pool.picker().and_then(|live| live.failure_mode);
        Self {
            mode: record.applied["failureMode"].as_str().map(str::to_owned).or_else(|| former_mode.clone()),
            former_mode,
            pool: pool.name().to_owned(),
            picker: name(&record.applied).unwrap_or_default(),
            before: match flip {
                Some(_) => pool.picker().map(|live| live.name),
                None => name(&record.previous),
            },
            flipped_by: flip.map(|flip| flip.manager.clone()),
        }
    }
}

/// The results of all steps of a plan, summed up.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Whether the accepted routing is in the history, so that pickers can find it.
    pub kept: bool,
    /// Workloads of which names are taken, and by what.
    pub taken: BTreeMap<String, TakenNames>,
    /// Workloads of which the API server refused an object, and why.
    pub refused: BTreeMap<String, String>,
    /// Workloads of which an object could not be written, and is tried again.
    pub unwritten: BTreeSet<String>,
    /// Workloads of which not every object was written yet, and the rest comes next.
    pub later: BTreeSet<String>,
    /// Deployments that were written now, as the API server returned them: the caches still have the
    /// former ones, whose rollouts say nothing about these.
    pub deployments: BTreeMap<String, DynamicObject>,
    /// Deployments whose pods an earlier release of the operator built, and that stay so for now.
    pub postponed: Vec<String>,
    /// The writes that were left out while the strategy is paused.
    pub frozen: Vec<String>,
    /// The state of the binding of each pool that the strategy drives.
    pub bindings: BTreeMap<(PoolGroup, String), BindingState>,
    /// Pools whose reference was replaced now.
    pub bound: Vec<BoundPool>,
    /// Pools that were given back now.
    pub released: Vec<String>,
    /// Pools whose former reference the API server refuses, and why.
    pub given_up: Vec<(String, String)>,
    /// Pools that can't be given back yet, and why.
    pub blocked: BTreeMap<String, String>,
    /// A pool that the strategy still holds, by the API server's word, though the caches know of none.
    pub still_held: Option<String>,
    /// Why the finalizer, or what goes with it, could not be removed.
    pub unfinished: Option<String>,
    /// The latest warning about each pod that was asked about, if there is one.
    pub warnings: BTreeMap<String, Option<PodWarning>>,
    /// When to look again without a change.
    pub again: Option<Duration>,
    /// The error because of which the reconcile has to be tried again.
    pub error: Option<WriteError>,
}

impl Outcome {
    /// The outcome of `plan`, of which each step came to its place in `results`.
    pub fn of(plan: &Plan, results: Vec<StepResult>) -> Self {
        let mut outcome = Self {
            kept: true,
            taken: plan.taken.clone(),
            postponed: plan.postponed.clone(),
            frozen: plan.frozen.clone(),
            bindings: plan.bindings.clone(),
            again: (!plan.taken.is_empty()).then_some(NAME_TAKEN_AGAIN),
            ..Self::default()
        };
        for (step, result) in plan.steps.iter().zip(results) {
            outcome.note(step, result);
        }
        outcome
    }

    /// The Deployment called `workload` as it was seen last.
    pub fn deployment<'a>(&'a self, snapshot: &'a Snapshot, workload: &str) -> Option<&'a DynamicObject> {
        let known = || snapshot.object(Kind::Deployment, workload).map(|live| &**live);
        self.deployments.get(workload).or_else(known)
    }

    fn note(&mut self, step: &Step, result: StepResult) {
        if let StepResult::Held(left) = result {
            if let Action::Bind { pool, .. } = &step.action {
                let waits = format!("pool {} is bound when connections to its pickers arrive", pool.name());
                self.bindings.insert((pool.group, pool.name().to_owned()), BindingState::Waiting(waits));
            }
            return self.look_again(left);
        }
        if matches!(result, StepResult::Later) {
            self.look_again(Duration::ZERO);
        }
        match &step.action {
            Action::Keep(_) => self.note_kept(result),
            Action::Make { workload, object } => self.note_made(workload, object.name(), result),
            Action::Look { workload, name, .. } => self.note_made(workload, name, result),
            Action::Alter { workload, alteration } => {
                self.note_made(workload, alteration.wanted.name(), result)
            }
            Action::Upgrade { workload, upgrade } => {
                self.note_made(workload, upgrade.now.wanted.name(), result)
            }
            Action::Bind { pool, change } => {
                self.note_bound(pool, change, result);
            }
            Action::GiveBack { give, .. } => {
                self.note_given_back(give.pool.name(), give.restore.is_some(), result);
            }
            Action::ConfirmNothingHeld(_) | Action::DeleteUnseen { .. } | Action::RemoveFinalizer => {
                self.note_finished(result);
            }
            Action::Inspect { pod, .. } => {
                if let StepResult::Inspected { warning, again } = result {
                    self.warnings.extend(warning.map(|warning| (pod.clone(), warning)));
                    if let Some(again) = again {
                        self.look_again(again);
                    }
                }
            }
            Action::AddFinalizer
            | Action::Claim { .. }
            | Action::Delete { .. }
            | Action::Tell(_)
            | Action::Report(_) => {
                if let StepResult::Failed(error) = result {
                    self.failed(error);
                }
            }
        }
    }

    fn look_again(&mut self, after: Duration) {
        self.again = Some(self.again.map_or(after, |known| known.min(after)));
    }

    fn failed(&mut self, error: WriteError) {
        // A conflict says least: keep what else there is.
        if self.error.as_ref().is_none_or(WriteError::is_conflict) {
            self.error = Some(error);
        }
    }

    fn note_kept(&mut self, result: StepResult) {
        self.kept = result.is_success();
        match result {
            StepResult::Taken(taken) => {
                self.taken.entry(String::new()).or_default().extend(taken);
                self.look_again(NAME_TAKEN_AGAIN);
            }
            StepResult::Failed(error) => self.failed(error),
            _ => {}
        }
    }

    fn note_made(&mut self, workload: &str, name: &str, result: StepResult) {
        match result {
            StepResult::Stored(stored) => {
                self.deployments.insert(name.to_owned(), *stored);
            }
            StepResult::Postponed { result, again } => {
                self.postponed.push(name.to_owned());
                if let Some(again) = again {
                    self.look_again(again);
                }
                self.note_made(workload, name, *result);
            }
            StepResult::Taken(taken) => {
                self.taken.entry(workload.to_owned()).or_default().extend(taken);
                self.look_again(NAME_TAKEN_AGAIN);
            }
            StepResult::Refused(refusal) => {
                self.refused.insert(workload.to_owned(), refusal);
                self.look_again(NAME_TAKEN_AGAIN);
            }
            StepResult::Failed(error) => {
                self.unwritten.insert(workload.to_owned());
                self.failed(error);
            }
            StepResult::Later => {
                self.later.insert(workload.to_owned());
            }
            _ => {}
        }
    }

    fn note_bound(&mut self, pool: &Pool, change: &BindingChange, result: StepResult) {
        let name = pool.name();
        let key = (pool.group, name.to_owned());
        let state = match result {
            StepResult::FieldConflict => {
                self.look_again(BIND_AGAIN);
                BindingState::Elsewhere(format!("another manager holds the reference of pool {name}"))
            }
            StepResult::Refused(refusal) => {
                self.look_again(BIND_AGAIN);
                BindingState::Waiting(format!("pool {name}: {refusal}"))
            }
            StepResult::Failed(error) => {
                self.failed(error);
                BindingState::Waiting(format!("pool {name}: not written yet; trying again"))
            }
            StepResult::Skipped => {
                self.bindings.remove(&key);
                return;
            }
            _ => {
                if let BindingChange::Take { record, .. } = change {
                    self.bound.push(BoundPool::of(pool, record));
                }
                return;
            }
        };
        self.bindings.insert(key, state);
    }

    fn note_given_back(&mut self, pool: &str, restored: bool, result: StepResult) {
        match result {
            StepResult::Done if restored => self.released.push(pool.to_owned()),
            StepResult::GivenUp(refusal) => self.given_up.push((pool.to_owned(), refusal)),
            StepResult::Refused(refusal) => {
                // Its pickers serve on, so there is time.
                self.blocked.insert(pool.to_owned(), refusal);
                self.look_again(GIVE_BACK_AGAIN);
            }
            StepResult::Failed(error) => self.blocked_by(pool, error),
            _ => {}
        }
    }

    fn note_finished(&mut self, result: StepResult) {
        match result {
            StepResult::StillHolds(pool) => {
                self.still_held = Some(pool);
                self.look_again(FINISH_AGAIN);
            }
            StepResult::Failed(error) => {
                if !error.is_conflict() {
                    self.unfinished = Some(error.to_string());
                }
                self.failed(error);
            }
            _ => {}
        }
    }

    /// Notes what keeps a pool from being given back. What changed meanwhile is decided about anew at once.
    fn blocked_by(&mut self, pool: &str, error: WriteError) {
        if !error.is_conflict() {
            self.blocked.insert(pool.to_owned(), error.to_string());
        }
        self.failed(error);
    }
}

#[cfg(test)]
mod tests;
