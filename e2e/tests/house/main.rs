//! Rules for the repository's own files, checked without a cluster.

#![allow(clippy::unwrap_used, reason = "what can't be read here fails the test")]

mod docs;
mod images;
mod imports;
mod rooms;
mod samples;
mod sources;
