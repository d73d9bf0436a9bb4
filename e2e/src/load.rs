//! A load generator for chat completions: single requests with all details, or many with counts and latencies.
//!
//! ```no_run
//! # async fn story() -> anyhow::Result<()> {
//! use std::time::Duration;
//! use e2e::load::{Load, Prompts};
//! let running = Load::new("http://10.244.0.9:8081").per_second(400.0).streamed(0.5).start();
//! tokio::time::sleep(Duration::from_secs(10)).await;
//! let report = running.stop().await;
//! assert_eq!(report.failures().count(), 0, "{report}");
//! println!("{:?}, hit ratio {:.2}", report.by_pod(), report.hit_ratio());
//! # Ok(()) }
//! ```

mod ask;
mod client;
mod prompts;
mod report;
mod run;
mod sse;

pub use ask::{Answer, Ask, Usage};
pub use client::Client;
pub use prompts::Prompts;
pub use report::{Outcome, Report, Sample};
pub use run::{Load, Running};
