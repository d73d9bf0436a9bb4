//! The scraping of model servers: their metrics become the signals of an endpoint.
//!
//! ```text
//! GET /metrics ─ connection ─► bytes ─ scan ─► samples ─ engine ─► Signals ─► readings ─► View
//! ```

pub mod connection;
pub mod engine;
mod labels;
pub mod poll;
pub mod scan;

pub use scan::scan;
