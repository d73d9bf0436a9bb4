//! A plan as text for people, one line a step.

use std::fmt::{self, Display, Formatter};

use super::step::{Action, Alteration, Before, Plan, Slot, Step, Wait};
use crate::strategy::binding::BindingChange;

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "{number}: {step}")?;
        }
        for ((_, pool), state) in &self.bindings {
            writeln!(f, "pool {pool}: {state:?}")?;
        }
        for (workload, taken) in &self.taken {
            writeln!(f, "{workload}: {taken}")?;
        }
        for name in &self.postponed {
            writeln!(f, "{name} stays as an earlier release built it")?;
        }
        for write in &self.frozen {
            writeln!(f, "paused: {write}")?;
        }
        Ok(())
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.action)?;
        for wait in &self.waits {
            write!(f, ", {wait}")?;
        }
        Ok(())
    }
}

impl Display for Wait {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllBefore(number) => write!(f, "after 0..{number}"),
            Self::End(step) => write!(f, "after {step}"),
            Self::Success(step) => write!(f, "needs {step}"),
            Self::NameFree(step) => write!(f, "unless {step} finds its name taken"),
            Self::Reach(workload) => write!(f, "when connections to {workload} arrive"),
            Self::Hold(uid) => write!(f, "held for {uid}"),
            Self::Handover(name) => write!(f, "unless taken over, {name}"),
        }
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep(keep) => {
                write!(f, "keep {} as number {} in ", keep.revision, keep.number)?;
                match &keep.slot {
                    Slot::Same(name) => f.write_str(name),
                    Slot::Free { empty, oldest } => {
                        write!(f, "the first free of {}", empty.join(" "))?;
                        match oldest {
                            Some((name, _)) => write!(f, ", or in the place of {name}"),
                            None => Ok(()),
                        }
                    }
                }
            }
            Self::AddFinalizer => f.write_str("add the finalizer"),
            Self::Make { object, .. } => write!(f, "make {:?} {}", object.kind, object.name()),
            Self::Look { kind, name, .. } => write!(f, "look whose {kind:?} {name} is"),
            Self::Claim { kind, live, patch } => {
                let name = live.metadata.name.as_deref().unwrap_or_default();
                write!(f, "claim {kind:?} {name} by {patch}")
            }
            Self::Alter { alteration, .. } => write!(f, "alter {alteration}"),
            Self::Upgrade { upgrade, .. } => {
                write!(f, "in its turn, upgrade {}", upgrade.now)?;
                match &upgrade.until_then {
                    Some(until_then) => write!(f, "; until then, alter {until_then}"),
                    None => Ok(()),
                }
            }
            Self::Bind { pool, change } => match change {
                BindingChange::Nothing => write!(f, "leave pool {}", pool.name()),
                BindingChange::Take { record, force } => {
                    let how = if *force { "take" } else { "take, unless it is held," };
                    let record = serde_json::to_string(record).map_err(|_| fmt::Error)?;
                    write!(f, "{how} pool {} with record {record}", pool.name())
                }
                BindingChange::Recall { record } => {
                    let record = serde_json::to_string(record).map_err(|_| fmt::Error)?;
                    write!(f, "recall pool {} with record {record}", pool.name())
                }
                BindingChange::Leave { .. } => write!(f, "leave pool {} to its manager", pool.name()),
                BindingChange::Forget => write!(f, "forget pool {}", pool.name()),
            },
            Self::GiveBack { give, may_give_up } => {
                write!(f, "give pool {} back", give.pool.name())?;
                if let Some(restore) = &give.restore {
                    write!(f, " as {} by {}", restore.first.manager, restore.first.content)?;
                }
                f.write_str(if *may_give_up { ", or give up" } else { "" })
            }
            Self::Inspect { pod, .. } => write!(f, "ask for the events of pod {pod}"),
            Self::ConfirmNothingHeld(groups) => {
                let groups: Vec<_> = groups.iter().map(|group| group.group()).collect();
                write!(f, "confirm that no pool of {} is held", groups.join(" and "))
            }
            Self::DeleteUnseen { kind, name } => write!(f, "delete {kind:?} {name}, seen or not"),
            Self::RemoveFinalizer => f.write_str("remove the finalizer"),
            Self::Delete { kind, live } => {
                write!(f, "delete {kind:?} {}", live.metadata.name.as_deref().unwrap_or_default())
            }
            Self::Tell(events) => write!(f, "tell {} events", events.len()),
            Self::Report(report) => {
                write!(f, "report {}", serde_json::to_string(&report.patch).map_err(|_| fmt::Error)?)
            }
        }
    }
}

impl Display for Alteration {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} at {}", self.wanted.kind, self.wanted.name(), self.path)?;
        for before in &self.before {
            match before {
                Before::Delete => f.write_str(", deleting it first")?,
                Before::KeepReplicas(replicas) => write!(f, ", leaving {replicas} replicas first")?,
                Before::TakeOut(patch) => write!(f, ", taking out {patch} first")?,
            }
        }
        Ok(())
    }
}
