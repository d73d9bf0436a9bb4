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

pub mod config;
pub mod cx;
pub mod endpoint;
pub mod hot;
pub mod index;
pub mod parse;
pub mod plugin;
pub mod plugins;
pub mod request;
pub mod schedule;
pub mod store;
pub mod strategy;
pub mod view;

pub use config::{ConfigError, Routing};
pub use cx::Cx;
pub use endpoint::{Endpoint, EndpointId};
pub use hot::Hot;
pub use request::Request;
pub use schedule::{Decision, Flight, Refusal};
pub use strategy::{Needs, Strategy};
pub use view::View;
