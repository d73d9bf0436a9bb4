//! The first part of a request: its headers, and what the gateway adds to them.

use picker_core::request::Headers;
use picker_core::view::Address;
use picker_proto::{HeaderValue, HttpHeaders, Kind, Metadata};

/// Filter metadata and header under which a gateway names the endpoints that may be chosen.
const SUBSET_NAMESPACE: &str = "envoy.lb.subset_hint";
pub(super) const SUBSET: &str = "x-gateway-destination-endpoint-subset";

/// Headers that pickers set for model servers and their sidecars, or gateways for pickers, and that a
/// client could use to send a request, or a part of its work, wherever it likes. The destination itself is
/// not among them: it is overwritten, and taken out of headers that go ahead of the decision.
const UNTRUSTED: [&str; 6] = [
    SUBSET,
    super::tail::SERVED,
    "x-prefiller-host-port",
    "x-encoder-hosts-ports",
    "x-data-parallel-host-port",
    "x-kv-cache-source-host-port",
];

/// openFuyao's pickers name prefill and decode servers to its proxies in headers of this prefix.
const UNTRUSTED_PREFIX: &str = "x-openfuyao-";

/// Headers of more bytes than this have an allocation of their own.
const LONG: usize = 4 << 10;

/// A request before its body.
#[derive(Debug)]
pub(super) struct Head {
    pub headers: Headers,
    /// Whether neither body nor trailers follow.
    pub ends: bool,
    /// The endpoints that may be chosen, if the gateway restricts them.
    pub subset: Option<Vec<Address>>,
}

impl Head {
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
        let mut add = |text: &str| subset.extend(text.split(',').filter_map(Address::parse));
        match hint {
            Kind::StringValue(text) => add(text),
            Kind::ListValue(list) => {
                for value in &list.values {
                    if let Some(Kind::StringValue(text)) = &value.kind {
                        add(text);
                    }
                }
            }
            _ => {}
        }
        self.subset = Some(subset);
    }

    /// About the memory that its headers take, in bytes.
    pub(super) fn size(&self) -> usize {
        let Headers(headers) = &self.headers;
        let size = headers.iter().map(|pair| size_of_val(pair) + pair.0.len() + pair.1.len()).sum();
        // They lie in the message that brought them, and an allocation may be an eighth larger than was asked for.
        if size > LONG { size + size / 8 } else { size }
    }

    /// The length that the client announced for the body.
    pub(super) fn content_length(&self) -> Option<usize> {
        self.headers.text("content-length")?.parse().ok()
    }
}

/// Names of headers that must not reach a model server.
pub(super) fn untrusted(headers: &Headers) -> Vec<String> {
    let bad = |name: &&str| UNTRUSTED.contains(name) || name.starts_with(UNTRUSTED_PREFIX);
    // What is no text is the name of no header.
    let names = headers.0.iter().filter_map(|(name, _)| std::str::from_utf8(name).ok());
    names.filter(bad).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use picker_proto::build::{fields, string};
    use picker_proto::{HeaderMap, ListValue, Value};

    use super::*;

    fn hinted(value: Value) -> Option<Vec<Address>> {
        let metadata =
            Metadata { filter_metadata: [(SUBSET_NAMESPACE.to_owned(), fields([(SUBSET, value)]))].into() };
        let head = Head::new(HttpHeaders::default(), Some(&metadata));
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
        assert_eq!(Head::new(HttpHeaders::default(), Some(&Metadata::default())).subset, None);
    }

    #[test]
    fn untrusted_headers_are_found() {
        let headers = HeaderMap::from_iter([
            (":path", "/"),
            ("x-prefiller-host-port", "169.254.169.254:80"),
            ("x-gateway-destination-endpoint", "169.254.169.254:80"),
            (SUBSET, "a"),
            ("x-openfuyao-prefill", "169.254.169.254:80"),
        ]);
        let head = Head::new(HttpHeaders { headers: Some(headers), end_of_stream: true }, None);
        assert_eq!(untrusted(&head.headers), ["x-prefiller-host-port", SUBSET, "x-openfuyao-prefill"]);
    }
}
