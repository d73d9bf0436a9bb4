//! Envoy's `ext_proc` protocol on one side, the routing decision on the other.
//!
//! A gateway opens one stream for each HTTP exchange. [`stream`] is its whole story, from the request's
//! headers to the end of the response, and [`bbr`] that of the mode that only writes headers; the other modules are the words
//! they are told in.

mod bbr;
mod body_mode;
mod grpc;
mod immediate_reply;
mod patience;
mod reply;
mod request_body;
mod request_head;
mod response_phase;
mod stream;
#[cfg(test)]
mod tests;
mod wire;

pub use grpc::{Answers, Service};
