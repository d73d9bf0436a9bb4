//! Roles that plugins play in a decision and in the exchange around it, in the order in which they are called:
//!
//! ```text
//! Preparer ─► Screener ─► Producer ─► Admitter ─► ProfileHandler ─► Filter ─► Scorer ─► Picker ─► PreRequest ─► Observer
//!                                                  │      ▲ Decider   └──── each profile ────┘
//! ```
//!
//! Every role but [`Preparer`] is synchronous, and is called for all candidates at once. What a strategy has no plugin
//! for costs nothing.

mod exchange;
mod schedule;

pub use exchange::{
    Admitter, Observer, Outside, PreRequest, Preparation, Preparer, ResponseWatch, Sleep, Timer, Upkeep,
};
pub use schedule::{BoundHandler, Decider, Filter, Next, Picker, Producer, ProfileHandler, Scorer, Screener};
