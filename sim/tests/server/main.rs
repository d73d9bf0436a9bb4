//! The server over loopback, asked by a real HTTP client.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod abort;
mod chat;
mod command;
mod completion;
mod errors;
mod faults;
mod lifecycle;
mod metrics;
mod support;
