//! A simulated model server that a client can't tell from vLLM's for chat and text completions.
//!
//! [`ModelServer::start`] serves one engine on one listener; a process may have many. Each response names who served it
//! in the headers `x-sim-pod` and `x-sim-port`, so that a test can compare the pod that answered with the one picked.

mod admin;
mod answer;
mod api;
mod app;
mod config;
mod driver;
mod error;
mod faults;
mod generate;
mod identity;
mod job;
mod lifecycle;
mod metrics;
mod models;
mod routes;
mod stream;

pub use self::config::{MetricsConfig, ServerConfig};
pub use self::faults::FaultConfig;
pub use self::lifecycle::{Drain, ModelServer, StartError};
pub use self::metrics::MetricsDialect;
