//! The endpoint picker, which answers a gateway's question which model server a request should go to.
//!
//! ```text
//! RoutingStrategy, file, text ─ source ─► Hot<Strategy> ─┐
//! InferencePool, pods, file ─── watch ──► endpoints ─┐   ├─► extproc ◄─ picker-serve ◄─ gateways
//! model servers ─────────────── scrape ─► readings ──┴─► View ─┘
//! ```
//!
//! Each arrow into the traffic is one atomic pointer: a request loads a strategy and a view, and waits for
//! nobody.

pub mod activity;
pub mod admin;
pub mod app;
pub mod args;
pub mod bbr;
pub mod catalogue;
pub mod check;
pub mod connection_budget;
pub mod decisions;
pub mod drain;
pub mod dry_run;
pub mod exchange;
pub mod explain;
pub mod extproc;
pub mod health;
pub mod http_client;
#[cfg(target_os = "linux")]
pub mod huge_pages;
pub mod logging;
pub mod metrics;
pub mod open_files;
pub mod policies;
pub mod pool;
pub mod ready;
pub mod regular_file;
mod reserved_address;
pub mod scrape;
pub mod source;
pub mod status;
pub mod termination;
pub mod tls;
pub mod upkeep;
pub mod view;
pub mod watch;

#[cfg(test)]
mod deep_json;
#[cfg(test)]
mod fake_api;
