//! Request headers that clients must not send to model servers.

use picker_core::Hot;
use picker_core::request::Headers;
use picker_core::trust::Trust;

use super::explained::EXPLAIN_HEADER;

/// Header, and key of metadata, under which a gateway names the endpoints that may be chosen.
pub const SUBSET: &str = "x-gateway-destination-endpoint-subset";

/// Header, and key of metadata, in which a gateway says who served.
pub const SERVED: &str = "x-gateway-destination-endpoint-served";

/// Headers that gateways, and pickers of other projects, set for model servers and their sidecars, and that a
/// client could use to send a request, or a part of its work, wherever it likes. Those that plugins write are known from
/// the table of plugins ([`Hot::writes`]). The destination itself is in neither: it is overwritten, and taken out of
/// headers that go ahead of the decision.
fn is_foreign(name: &str) -> bool {
    // llm-d's sidecar, now and formerly: the prefill server, the encode servers, the rank.
    matches!(name, "x-prefiller-host-port" | "x-prefiller-url" | "x-encoder-hosts-ports")
        || name == "x-data-parallel-host-port"
        // vLLM, SGLang and Dynamo: the data-parallel rank.
        || matches!(name, "x-data-parallel-rank" | "x-dp-rank" | "x-prefill-dp-rank")
        // Dynamo's frontends: the workers, and the tokens of the prompt.
        || matches!(name, "x-worker-instance-id" | "x-prefill-instance-id")
        // SGLang's router: the worker.
        || name == "x-smg-target-worker"
        || matches!(name, SUBSET | SERVED | EXPLAIN_HEADER)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Beginnings of such names: of openFuyao's pickers, which name prefill and decode servers to its proxies, and of Dynamo's
/// plugins.
const PREFIXES: [&str; 3] = ["x-openfuyao-", "x-dynamo-", "x-epp-inject-"];

/// Names of headers in `headers` that must not reach a model server, where `hot` compiles strategies, and this much is
/// believed.
pub fn untrusted<'h>(hot: &Hot, trust: Trust, headers: &'h Headers) -> impl Iterator<Item = &'h str> {
    let bad = move |name: &&str| is_foreign(name) || trust.strips(name) || hot.writes(name);
    // What is no text is the name of no header.
    headers.0.iter().filter_map(|(name, _)| std::str::from_utf8(name).ok()).filter(bad)
}

#[cfg(test)]
mod tests;
