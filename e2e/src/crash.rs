//! Ending the operator after any one of its requests, and seeing what that leaves behind.
//!
//! The operator runs as a process of its own on this machine, behind a [`Gate`] that counts what it asks of the API
//! server. A [`StandIn`] plays node and pickers, so that a picker is there a moment after the operator made it, and a
//! [`Witness`] writes down every state that the pools, Services and Deployments of a namespace went through.

mod gate;
mod operator;
mod stand_in;
mod witness;

pub use gate::Gate;
pub use operator::{Fate, Operator, Place};
pub use stand_in::StandIn;
pub use witness::Witness;
