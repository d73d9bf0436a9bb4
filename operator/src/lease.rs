//! Leader election: of several replicas of the operator the one that holds a Lease writes, and of several operators
//! one works on each strategy.
//!
//! Losing the Lease, or the API server, ends nothing: the caches stay warm, writing stops, and the
//! candidate tries again. A holder counts its time from before the request that renewed the Lease, so it
//! stops writing before another may start.

mod authority;
mod candidate;
mod clients;
mod election;
mod elsewhere;
mod leadership;
mod marks;
mod record;
mod scope;
mod timing;

pub use authority::{Authority, Concerned, LastLook, Overlap};
pub use clients::Clients;
pub use election::{Election, Leases};
pub use leadership::Leadership;
pub use timing::Timing;
