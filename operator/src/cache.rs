//! Caches of the cluster: one watch for each kind, kept warm whether or not this process leads.

mod index;
mod installed;
mod partial_object;
mod pods;
mod store;
mod triggers;
mod watch;
mod watches;

pub use index::Index;
pub(crate) use partial_object::{PartialObject, PoolKind, PoolOf, ReadPartial};
pub use pods::PodFacts;
pub use store::Cache;
pub use triggers::{Requests, Triggers};
pub use watches::{Scope, run};
