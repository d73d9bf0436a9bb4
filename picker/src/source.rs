//! Where a strategy comes from, and the one desk to which all sources bring it.

pub mod desk;
pub mod discovery;
pub mod file;
pub mod history;
pub mod kube;
pub mod text;

pub use desk::{Desk, Installed, Offer, Source};
