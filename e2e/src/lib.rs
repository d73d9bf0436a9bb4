//! End-to-end tests on one machine: a real Kubernetes cluster from package registries alone, images built from this
//! checkout, Envoy as each gateway configures it, and load to send through it. `xtask` and the end-to-end tests are
//! written in terms of this library.
//!
//! ```no_run
//! # async fn story() -> anyhow::Result<()> {
//! use e2e::cluster::Family;
//! use e2e::{Cluster, Progress};
//! let progress = Progress::stdout();
//! let cluster = Cluster::up(Family::Ipv4, &progress).await?;
//! let kubectl = cluster.kubectl().await?;
//! kubectl.create_namespace("llm").await?;
//! # Ok(()) }
//! ```

pub mod cluster;
pub mod crash;
pub mod demo;
pub mod docs;
pub mod envoy;
pub mod fixtures;
pub mod images;
pub mod kubectl;
pub mod load;
pub mod local;
pub mod paths;
pub mod progress;
pub mod shell;
pub mod suite;
pub mod test_env;
pub mod tools;
pub mod wait;

pub use cluster::Cluster;
pub use kubectl::Kubectl;
pub use progress::Progress;
pub use wait::until;
