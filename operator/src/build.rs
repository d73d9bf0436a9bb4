//! Builders of the objects that are made for a pool: pure functions from what a strategy asks for to what is applied.

pub mod auth;
pub mod deployment;
pub mod hpa;
pub mod input;
pub mod limits;
pub mod monitor;
pub mod network_policy;
pub mod objects;
pub mod overlay;
pub mod pdb;
pub mod rbac;
pub mod service;
pub mod service_account;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use deployment::DEFAULT_MEMORY;
pub use input::{Defaults, EXT_PROC_PORT, HEALTH_PORT, Input, METRICS_PORT};
pub use limits::Limits;
pub use objects::objects;
pub use overlay::OverlayError;
