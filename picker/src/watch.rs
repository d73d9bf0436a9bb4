//! The endpoints: which model servers there are, and the view of them that decisions read.
//!
//! ```text
//! InferencePool ─ pool ─► selector, ports ─ pods ─┐
//! file ─ source::discovery ───────────────────────┴─► wanted endpoints ─ endpoint_set ─┐
//! scrape ─► readings ──────────────────────────────────────────────────────────────────┴─ publish ─► View
//! ```

mod doubt;
pub mod endpoint_set;
pub mod events;
pub mod model_rules;
pub mod objectives;
pub mod pods;
pub mod pool;
mod pool_objects;
pub mod publish;
pub mod readout;

mod wanted;

pub use wanted::{PageHosts, PoolPage, Wanted, WantedEndpoint};
