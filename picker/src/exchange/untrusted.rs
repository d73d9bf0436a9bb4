//! Request headers that clients must not send to model servers.

use std::sync::LazyLock;

use picker_core::plugins::builtin;
use picker_core::request::Headers;
use rustc_hash::FxHashSet;

/// Header, and key of metadata, under which a gateway names the endpoints that may be chosen.
pub const SUBSET: &str = "x-gateway-destination-endpoint-subset";

/// Header, and key of metadata, in which a gateway says who served.
pub const SERVED: &str = "x-gateway-destination-endpoint-served";

/// Headers that gateways, and pickers of other projects, set for model servers and their sidecars, and that a
/// client could use to send a request, or a part of its work, wherever it likes. Those that plugins of this picker
/// write are in the table of plugins. The destination itself is in neither: it is overwritten, and taken out of headers
/// that go ahead of the decision.
const FOREIGN: [&str; 5] =
    [SUBSET, SERVED, "x-prefiller-url", "x-data-parallel-host-port", "x-kv-cache-source-host-port"];

/// openFuyao's pickers name prefill and decode servers to its proxies in headers of this prefix.
const FOREIGN_PREFIX: &str = "x-openfuyao-";

static NAMES: LazyLock<FxHashSet<&'static str>> =
    LazyLock::new(|| FOREIGN.into_iter().chain(builtin().written_headers()).collect());

/// Names of headers in `headers` that must not reach a model server.
pub fn untrusted(headers: &Headers) -> impl Iterator<Item = &str> {
    let bad = |name: &&str| NAMES.contains(name) || name.starts_with(FOREIGN_PREFIX);
    // What is no text is the name of no header.
    headers.0.iter().filter_map(|(name, _)| std::str::from_utf8(name).ok()).filter(bad)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_plugins_gateways_and_other_pickers_write_is_found() {
        let names = [
            ":path",
            "x-prefiller-host-port",
            "x-gateway-destination-endpoint",
            SUBSET,
            "x-openfuyao-prefill",
            "accept",
        ];
        let headers =
            Headers(names.map(|name| (Bytes::from(name), Bytes::from("169.254.169.254:80"))).into());
        assert_eq!(
            untrusted(&headers).collect::<Vec<_>>(),
            ["x-prefiller-host-port", SUBSET, "x-openfuyao-prefill"]
        );
        for name in builtin().written_headers() {
            let headers = Headers(vec![(Bytes::from(name), Bytes::new())]);
            assert_eq!(untrusted(&headers).collect::<Vec<_>>(), [name]);
        }
    }
}
