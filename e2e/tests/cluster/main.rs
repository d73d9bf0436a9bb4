//! What must be seen to hold on a real cluster with real Envoys: one module for each promise. CONTRIBUTING.md
//! has the table of their rows.
//!
//! The tests need a cluster and take minutes, so plain `cargo test` leaves them out: `cargo xtask test` runs them, or
//! `cargo xtask test --only e2e NAME` some of them.

mod apiserver_away;
mod cascades;
mod causes;
mod chart;
mod crashes;
mod dialects;
mod docs;
mod drift;
mod edits;
mod guide;
mod metrics_auth;
mod models;
mod picker_ends;
mod quiet;
mod renamed;
mod rights;
mod servers_come_and_go;
mod strategy_deleted;
mod takeover;
mod two_operators;
mod wrong_edits;
