//! Envoy's `ext_proc` protocol on one side, the routing decision on the other.
//!
//! A gateway opens one stream for each HTTP exchange. [`stream`] is its whole story, from the request's
//! headers to the end of the response; the other modules are the words it is told in.

mod abort;
mod account;
mod body;
mod gate;
mod gathered;
mod grpc;
mod head;
mod held;
mod mode;
mod reply;
mod stream;
mod tail;
#[cfg(test)]
mod tests;
mod usage;
mod wire;

pub use gate::Gate;
pub use grpc::Service;
pub use held::Budget;
