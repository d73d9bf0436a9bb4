//! The operator: makes pickers out of RoutingStrategies and binds them to InferencePools.
//!
//! One reconcile is five steps, each a module of [`strategy`]:
//!
//! ```text
//! caches ─ dereference ─► Snapshot ─ validate ─► Valid ─ plan ─► Plan ─ execute ─► Outcome ─ status ─► report
//!                                                                  └────── the cluster ◄──────────────────┘
//! ```
//!
//! `validate`, `plan` and `status` are pure functions. `execute` alone writes to the cluster, and only while this
//! process leads: the writer is a private module of it. Two other parts write of their own accord: [`lease`], which
//! decides who leads, and the recorder of Events, which `execute` holds too.

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
pub mod probe;
pub mod queue;
pub mod strategy;
