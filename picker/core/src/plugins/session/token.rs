//! Session tokens: the base64 of `namespace/name` of an endpoint, as llm-d writes them.

use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
use smallvec::SmallVec;

use crate::endpoint::Endpoint;
use crate::view::{Candidates, View};

/// Room for a namespace (63 bytes), a pod's name (253), a slash and a rank, and for the decoder's caution.
const MAX_NAME: usize = 384;

/// Clients may lose the padding.
const DECODER: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The token of `endpoint`.
pub(super) fn of(endpoint: &Endpoint) -> String {
    STANDARD.encode(format!("{}/{}", endpoint.namespace, endpoint.name))
}

/// The `candidates` that `token` names, as positions in `view`: the endpoint of that name, or else all endpoints of the
/// pod of that name. A token that is none names nobody.
pub(super) fn named(token: &[u8], view: &View, candidates: &Candidates) -> SmallVec<[usize; 1]> {
    let mut buffer = [0; MAX_NAME];
    let name = DECODER.decode_slice(token.trim_ascii(), &mut buffer).ok();
    let name = name.and_then(|length| std::str::from_utf8(&buffer[..length]).ok());
    let Some((namespace, name)) = name.and_then(|name| name.split_once('/')) else {
        return SmallVec::new();
    };
    let those = |called: fn(&Endpoint) -> &str| -> SmallVec<[usize; 1]> {
        let is_it = |e: &Endpoint| called(e) == name && e.namespace == namespace;
        candidates.iter().filter(|&i| is_it(&view.endpoints[i])).collect()
    };
    let endpoints = those(|e| &e.name);
    if endpoints.is_empty() { those(|e| &e.pod) } else { endpoints }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::unknown;

    #[test]
    fn a_token_names_an_endpoint_or_the_endpoints_of_a_pod_among_the_candidates() {
        let view = unknown(3);
        let mut candidates = Candidates::of(&view.endpoints, None);
        candidates.retain(|i| i != 2);
        let found = |token: &str| named(token.as_bytes(), &view, &candidates).to_vec();
        assert_eq!(of(&view.endpoints[1]), "ZGVmYXVsdC9wb2QtMS1yYW5rLTA=");
        assert_eq!(found(&of(&view.endpoints[1])), [1]);
        let encoded = |name: &str| found(&STANDARD.encode(name));
        assert_eq!(encoded("default/pod-1"), [1]);
        for name in ["default/pod-2-rank-0", "other/pod-1", "default/pod-1-rank-1", "pod-1", "/", ""] {
            assert_eq!(encoded(name), [0; 0], "{name}");
        }
        assert_eq!(found(" ZGVmYXVsdC9wb2QtMS1yYW5rLTA "), [1]);
        for token in ["10.0.0.1:8000", "=", "ZGVm\0", &"A".repeat(100_000)] {
            assert_eq!(found(token), [0; 0], "{token}");
        }
        assert_eq!(named(b"\xff\xfe", &view, &candidates).to_vec(), [0; 0]);
    }
}
