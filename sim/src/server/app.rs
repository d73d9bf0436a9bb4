//! The state that the handlers of a model server share.

use std::sync::RwLock;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use super::config::ServerConfig;
use super::driver::EngineHandle;
use super::faults::{FaultConfig, Lots};
use super::identity::Identity;
use super::models::Models;

/// What the handlers of one server share.
#[derive(Debug)]
pub(super) struct App {
    pub config: ServerConfig,
    pub identity: Identity,
    pub models: Models,
    pub engine: EngineHandle,
    pub lots: Lots,
    pub tuning: RwLock<Tuning>,
    /// When the delay of the start is over.
    pub ready_at: Instant,
    /// Unix time of the start in seconds.
    pub started: f64,
    /// Whether the server is ending.
    pub draining: watch::Receiver<bool>,
}

/// What can be changed while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Tuning {
    /// How many times as fast as its rates the engine runs.
    pub speed: f64,
    #[serde(flatten)]
    pub faults: FaultConfig,
}

impl App {
    /// The failures in force.
    pub fn faults(&self) -> FaultConfig {
        // The lock is held for copies alone: it can't be poisoned by a panic in between.
        self.tuning.read().unwrap_or_else(std::sync::PoisonError::into_inner).faults
    }
}
