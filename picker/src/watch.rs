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
pub mod objectives;
pub mod pods;
pub mod pool;
pub mod publish;
pub mod readout;

use std::sync::Arc;

use picker_core::endpoint::EndpointSpec;

/// The endpoints that there should be, as pool and pods or a file say; `None` while it isn't known yet.
pub type Wanted = Option<Arc<[EndpointSpec]>>;
