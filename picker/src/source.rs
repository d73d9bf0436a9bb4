//! The sources of a strategy (RoutingStrategy, file, command line), and the installer that they offer it to.

pub mod assignment;
pub mod discovery;
pub mod file;
pub mod history;
pub mod installer;
pub mod kube;
pub mod replicas;
pub mod text;

pub use installer::{Installer, Offer, Rescue, Serving, Source};
