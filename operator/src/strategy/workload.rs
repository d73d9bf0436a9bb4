//! A picker workload: the Deployment with all that belongs to it, and the pools that it serves.

use std::sync::Arc;

use crds::Pool;

/// A picker workload.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Workload {
    /// Name of its objects.
    pub name: String,
    pub mode: Mode,
    pub pools: Vec<ServedPool>,
}

/// How pools are spread over workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Each pool has a workload of its own.
    PerPool,
}

/// A pool that a workload serves.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ServedPool {
    pub pool: Arc<Pool>,
    /// Name of the Service by which the pool reaches the workload.
    pub service: String,
    /// Port of the Service for ext_proc.
    pub port: u16,
}
