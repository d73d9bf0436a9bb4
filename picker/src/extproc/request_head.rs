//! The first part of a request: its headers, and what the gateway adds to them.

use picker_core::request::Headers;
use picker_core::view::Address;
use picker_proto::{HeaderValue, HttpHeaders, Metadata, MetadataValue};

use crate::exchange::SUBSET;

/// Namespace of the metadata in which a gateway names the endpoints that may be chosen.
const SUBSET_NAMESPACE: &str = "envoy.lb.subset_hint";

/// The most endpoints that a gateway may name. Further ones are as if it had not named them.
const MOST: usize = 16 << 10;

/// Headers of more bytes than this have an allocation of their own.
const LONG: usize = 4 << 10;

/// A request before its body.
#[derive(Debug)]
pub(super) struct RequestHead {
    pub headers: Headers,
    /// Whether neither body nor trailers follow.
    pub ends: bool,
    /// The endpoints that may be chosen, if the gateway restricts them.
    pub subset: Option<Vec<Address>>,
}

impl RequestHead {
    pub(super) fn new(message: HttpHeaders, metadata: Option<&Metadata>) -> Self {
        let headers = message.headers.unwrap_or_default().headers;
        let headers = headers.into_iter().map(HeaderValue::into_parts).collect();
        let mut head = Self { headers: Headers(headers), ends: message.end_of_stream, subset: None };
        head.learn(metadata);
        head
    }

    /// Takes note of a subset; any message of the request may bring it.
    pub(super) fn learn(&mut self, metadata: Option<&Metadata>) {
        let Some(hint) = metadata.and_then(|m| m.get(SUBSET_NAMESPACE, SUBSET)) else { return };
        // What is no address matches nothing: the gateway said that only listed endpoints may be chosen.
        let mut subset = Vec::new();
        let mut add = |text: &str| {
            let left = MOST - subset.len();
            subset.extend(text.split(',').filter_map(Address::parse).take(left));
        };
        match hint {
            MetadataValue::Text(text) => add(text),
            MetadataValue::List(list) => {
                for value in list.values() {
                    if let MetadataValue::Text(text) = value {
                        add(text);
                    }
                }
            }
            MetadataValue::Other => {}
        }
        self.subset = Some(subset);
    }

    /// About the memory that it takes, in bytes.
    pub(super) fn size(&self) -> usize {
        let Headers(headers) = &self.headers;
        let subset = self.subset.as_ref().map_or(0, |subset| size_of::<Address>() * subset.capacity());
        let size: usize = headers.iter().map(|pair| size_of_val(pair) + pair.0.len() + pair.1.len()).sum();
        // They lie in the message that brought them, and an allocation may be an eighth larger than was asked for.
        subset + if size > LONG { size + size / 8 } else { size }
    }

    /// The length that the client announced for the body.
    pub(super) fn content_length(&self) -> Option<usize> {
        self.headers.text("content-length")?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use picker_proto::build::{fields, namespace, string};
    use picker_proto::{Kind, ListValue, Value};

    use super::*;

    fn hinted(value: Value) -> Option<Vec<Address>> {
        let metadata = namespace(SUBSET_NAMESPACE, &fields([(SUBSET, value)]));
        let head = RequestHead::new(HttpHeaders::default(), Some(&metadata));
        head.subset
    }

    fn addresses<const N: usize>(texts: [&str; N]) -> Option<Vec<Address>> {
        Some(texts.iter().map(|text| Address::parse(text).unwrap()).collect())
    }

    #[test]
    fn a_subset_is_a_list_or_a_text() {
        let list = |texts: &[&str]| {
            let values = texts.iter().map(|text| string(*text)).collect();
            Value { kind: Some(Kind::ListValue(ListValue { values })) }
        };
        assert_eq!(
            hinted(list(&["10.0.0.1:80", "[fd00::1]:80"])),
            addresses(["10.0.0.1:80", "[fd00::1]:80"])
        );
        assert_eq!(hinted(list(&["nonsense", "10.0.0.2"])), addresses(["10.0.0.2"]));
        assert_eq!(hinted(list(&[])), Some(vec![]));
        assert_eq!(hinted(string("10.0.0.1:80, 10.0.0.2:80")), addresses(["10.0.0.1:80", "10.0.0.2:80"]));
        assert_eq!(hinted(Value { kind: Some(Kind::BoolValue(true)) }), Some(vec![]));
        assert_eq!(hinted(string("10.0.0.1,".repeat(2 * MOST))).unwrap().len(), MOST);
        assert_eq!(RequestHead::new(HttpHeaders::default(), Some(&Metadata::default())).subset, None);
    }
}
