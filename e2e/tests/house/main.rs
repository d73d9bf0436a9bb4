//! What the workspace promises about itself, checked without a cluster.

#![allow(clippy::unwrap_used, reason = "what can't be read here fails the test")]

mod imports;
mod samples;
mod sources;
