//! Reading the metadata of a request, which stays encoded: gateways forward whole namespaces, and a value or two of them
//! are read.
//!
//! Source of the format: `google/protobuf/struct.proto`.

use std::str::from_utf8;

use crate::{Metadata, Parts};

/// A value of metadata: a `google.protobuf.Value`.
#[derive(Clone, Copy, Debug)]
pub enum MetadataValue<'a> {
    /// A text.
    Text(&'a str),
    /// A list of values.
    List(MetadataList<'a>),
    /// A number, a truth, fields, nothing, or a text that is not UTF-8.
    Other,
}

/// A list of values of metadata.
#[derive(Clone, Copy, Debug)]
pub struct MetadataList<'a>(Parts<'a>);

impl Metadata {
    /// The value of `key` in `namespace`. Of several the last counts, as in every map of Protocol Buffers, and what comes
    /// after something that can't be read is not there.
    pub fn get(&self, namespace: &str, key: &str) -> Option<MetadataValue<'_>> {
        let fields = &self.filter_metadata.iter().rfind(|space| space.name == namespace.as_bytes())?.fields;
        let entries = Parts(fields).numbered(1).map(Parts);
        let value = entries.filter(|entry| entry.last_of(1) == key.as_bytes()).last()?.last_of(2);
        Some(MetadataValue::new(value))
    }

    /// As [`get`](Self::get), if the value is a text.
    pub fn get_str(&self, namespace: &str, key: &str) -> Option<&str> {
        match self.get(namespace, key)? {
            MetadataValue::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl<'a> MetadataValue<'a> {
    fn new(value: &'a [u8]) -> Self {
        match Parts(value).last() {
            Some((3, text)) => from_utf8(text).map_or(Self::Other, Self::Text),
            Some((6, list)) => Self::List(MetadataList(Parts(list))),
            _ => Self::Other,
        }
    }
}

impl<'a> MetadataList<'a> {
    /// The values, in order.
    pub fn values(self) -> impl Iterator<Item = MetadataValue<'a>> {
        self.0.numbered(1).map(MetadataValue::new)
    }
}

#[cfg(test)]
mod tests;
