//! The scraping of model servers: their metrics become the signals of an endpoint.
//!
//! ```text
//!                      ScrapePlan of the strategy ─ job
//!                                                    │ table
//! GET /metrics ─ connection ─► bytes ─ scan ─► samples ─ engine ─► Signals ─► readings ─► View
//! ```

pub mod connection;
pub mod engine;
mod head_cap;
pub mod job;
mod labels;
mod narrow;
pub mod outcome;
pub mod pace;
pub mod place;
pub mod poll;
pub mod reach;
mod redirect;
pub mod scan;
pub mod table;
pub mod tls;

pub use scan::scan;
