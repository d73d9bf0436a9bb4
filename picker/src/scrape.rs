//! The scraping of model servers, and of others who know something of them: what they tell becomes the signals of an
//! endpoint.
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
pub mod models;
mod narrow;
pub mod outcome;
pub mod pace;
pub mod place;
pub mod poll;
pub mod reach;
pub mod reader;
mod redirect;
pub mod scan;
pub mod table;
pub mod tls;

pub use scan::scan;
