//! Reading the metrics of model servers.
//!
//! ```text
//!                      ScrapePlan of the strategy ─ job
//!                                                    │ table
//! GET /metrics ─ connection ─► bytes ─ scan ─► samples ─ engine ─► Signals ─► Gauge of the endpoint ─► View
//! ```

pub mod connection;
pub mod engine;
pub mod job;
pub mod labels;
pub mod poll;
pub mod scan;
pub mod table;
pub mod tls;

pub use scan::scan;
