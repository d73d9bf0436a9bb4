//! Envoy's `ext_proc` protocol, trimmed to what an endpoint picker reads and writes.
//!
//! Bodies, header names and header values are [`bytes::Bytes`]: decoded they are slices of the receive
//! buffer, so that a body can be sent back without a copy.

pub mod build;
mod metadata;
mod parts;
pub mod piece;
mod read;

/// Messages and client of `envoy.service.ext_proc.v3`.
#[allow(clippy::all, missing_docs, rust_2018_idioms)]
mod generated {
    tonic::include_proto!("envoy.service.ext_proc.v3");
}

pub use generated::*;
pub use metadata::{MetadataList, MetadataValue};
pub use parts::Parts;
pub use prost_types::{ListValue, Struct, Value, value::Kind};

#[cfg(test)]
mod tests;
