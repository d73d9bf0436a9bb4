//! Caches of the cluster: one watch for each kind, kept warm whether or not this process leads.

mod edits;
mod held;
mod index;
mod merged;
mod object;
mod orphans;
mod pods;
mod problem;
mod read;
mod slices;
mod store;
mod triggers;
mod watch;
mod watches;

pub use edits::Edits;
pub(crate) use held::revision_in_cache;
pub use index::Index;
pub use object::HeldObject;
pub use orphans::Orphans;
pub use pods::PodFacts;
pub use problem::{PodProblem, ProblemKind};
pub(crate) use read::{PoolKind, PoolOf};
pub use slices::SliceFacts;
pub use store::Cache;
pub use triggers::{Requests, Triggers};
pub(crate) use watch::Retry;
pub use watches::{Scope, run};
