//! The routing decision: what a strategy is, how it is compiled, and how it names an endpoint.
//!
//! This crate knows no Kubernetes and no wire protocol. Data flows one way:
//!
//! ```text
//! EndpointPickerConfig ─ config ─► compile ─► Strategy ─┐
//! endpoints + scraped signals ──────────────► View ─────┼─► schedule ─► Decision ─► Flight
//! headers + body ─ parse ───────────────────► Request ──┘
//! ```
//!
//! A [`Strategy`] is an immutable value; [`Hot`] holds the one that serves and replaces it whole.
//! State that must outlive a change of strategy (a prefix index) lives in a [`store::StateStore`].

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make the time of a decision"))]

pub mod ask;
pub mod booking;
pub mod column;
pub mod compile;
pub mod config;
pub mod cx;
pub mod discovery;
pub mod duration;
pub mod edits;
pub mod endpoint;
pub mod fact;
pub mod flight;
pub mod header;
pub mod health;
pub mod hot;
pub mod http;
pub mod index;
pub mod inputs;
pub mod needs;
pub mod outcome;
pub mod parse;
pub mod plugin;
pub mod plugins;
pub mod prepare;
pub mod refusal;
pub mod request;
pub mod rewrite;
pub mod role;
pub mod schedule;
pub mod scrape;
pub mod store;
pub mod strategy;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod trace;
pub mod trust;
pub mod view;

pub use ask::{Ask, Decision};
pub use config::{ConfigError, Routing};
pub use cx::Cx;
pub use edits::Edits;
pub use endpoint::{Endpoint, EndpointId};
pub use flight::Flight;
pub use hot::Hot;
pub use needs::Needs;
pub use refusal::{Refusal, RefusalKind};
pub use request::Request;
pub use strategy::Strategy;
pub use view::View;
