//! What is known of the model servers: which there are, and what they say of themselves.
//!
//! ```text
//! InferencePool ─ pool ─► selector, ports ─ pods ─┐
//! file ─ source::discovery ───────────────────────┴─► wanted endpoints ─ roster ─┐
//! scrape ─► readings ────────────────────────────────────────────────────────────┴─ publish ─► View
//! ```

pub mod events;
pub mod lean;
pub mod pods;
pub mod pool;
pub mod publish;
pub mod roster;

use std::sync::Arc;

use picker_core::endpoint::EndpointSpec;

/// The endpoints that there should be; `None` while it isn't known yet.
pub type Wanted = Option<Arc<[EndpointSpec]>>;
