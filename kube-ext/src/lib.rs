//! Objects of Kubernetes that are read in part, and watches of kinds that may not be installed.
//!
//! A list of objects is decoded as a whole, and JSON that is nested more than 127 deep is an error. So one object that
//! somebody nested that deep, or that a newer release wrote, would stop a watch with all other objects in it. There are
//! two ways around it:
//!
//! - [`ObjectParts`](object_parts::ObjectParts): only those parts of an object are decoded that are looked at, and parts
//!   of any depth are kept as text.
//! - [`PartialObject`](partial_object::PartialObject): each object is decoded by itself, by a reader of its kind
//!   ([`ReadPartial`](read_partial::ReadPartial)), and what can't be decoded is left out, or is an error of this object
//!   alone.

pub mod host_network;
pub mod object_parts;
pub mod optional_kind;
pub mod partial_object;
pub mod raw_fields;
pub mod read_partial;

/// For tests: a value that is nested too deep to be decoded.
#[cfg(test)]
fn deep() -> serde_json::Value {
    (0..200).fold(serde_json::json!(1), |inner, _| serde_json::json!({"a": inner}))
}
