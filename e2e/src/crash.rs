//! Crash tests of the operator: it is ended after any one of its requests, and another one must finish the work.
//!
//! The operator runs as a process of its own on this machine, behind a [`LimitingProxy`] that counts its requests to the
//! API server. [`FakePickers`] mark the pods of pickers Ready and report what they serve, so that no picker has to run, and
//! a [`HistoryRecorder`] records every state of the pools, Services and Deployments of a namespace.

mod fake_pickers;
mod history_recorder;
mod limiting_proxy;
mod operator;

pub use fake_pickers::FakePickers;
pub use history_recorder::HistoryRecorder;
pub use limiting_proxy::LimitingProxy;
pub use operator::{Operator, OperatorEnv, Run};
