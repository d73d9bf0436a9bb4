//! The operator: makes pickers out of RoutingStrategies and binds them to InferencePools.
//!
//! One reconcile is four steps, each a module of [`strategy`]:
//!
//! ```text
//! caches ─ dereference ─► Snapshot ─ validate ─► Verdicts ─ build ─► Objects ─ apply ─► cluster ─ status ─► strategy
//! ```
//!
//! `validate`, `build` and the decisions about a pool are pure; all writing goes through [`write::Writer`],
//! which writes only while this process leads.

pub mod app;
pub mod args;
pub mod build;
pub mod cache;
pub mod drift;
pub mod http;
pub mod kinds;
pub mod lease;
pub mod metrics;
pub mod names;
pub mod strategy;
pub mod write;

/// Field manager of everything that this operator applies.
pub const MANAGER: &str = "waypost";
