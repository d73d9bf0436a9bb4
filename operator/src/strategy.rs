//! The reconcile of a strategy in five steps, each a module: `dereference` reads, `validate`, `plan` and `status` are
//! pure, and `execute` writes.

mod adoption;
mod attempts;
mod binding;
mod cause;
mod causes;
mod claims;
mod compiled;
mod contest;
mod dereference;
mod event;
mod execute;
mod heir;
mod inspections;
mod managers;
mod memory;
mod outcome;
mod ownership;
mod plan;
mod pod_warning;
mod reach;
mod reconcile;
mod record;
mod release;
mod rollout;
mod silent_state;
mod snapshot;
mod status;
mod taken;
#[cfg(test)]
mod testing;
mod upgrade_queue;
mod validate;
mod wanted_objects;
mod workload;
mod write_error;
mod written_statuses;

pub use execute::Executor;
pub use memory::Memory;
pub use reach::{Attempt, MARGIN, Probe, Probes, Reach};
pub use reconcile::{Context, reconcile};
pub use write_error::WriteError;
