//! Reading the metrics of model servers.
//!
//! ```text
//! GET /metrics ─ connection ─► bytes ─ scan ─► samples ─ engine ─► Signals ─► Gauge of the endpoint ─► View
//! ```

pub mod connection;
pub mod engine;
pub mod poll;
pub mod scan;

pub use scan::scan;
