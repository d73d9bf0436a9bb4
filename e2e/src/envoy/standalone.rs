//! A hand-written Envoy, for clusters without Gateway API: the picker over TLS, its choice by header and metadata, and
//! nothing believed that a client says about where to go.

use serde_json::{Value, json};

use super::{Backend, Dialect, parts};

/// Envoy by itself, as the llm-d project runs it beside its picker.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standalone {
    /// The picker sees no response bodies: the cheapest way to call it.
    pub without_response_bodies: bool,
}

const POOL: &str = "pool";
const PICKER: &str = "picker";

impl Dialect for Standalone {
    fn name(&self) -> &'static str {
        if self.without_response_bodies { "standalone, no response bodies" } else { "standalone" }
    }

    fn route(&self, _: &Backend) -> Value {
        parts::route_to(POOL)
    }

    fn filters(&self, backend: &Backend) -> Vec<Value> {
        let authority = format!("{}:9002", parts::picker_host(backend, "svc"));
        let mut mode = parts::processing_mode("FULL_DUPLEX_STREAMED");
        if self.without_response_bodies {
            mode["response_body_mode"] = json!("NONE");
            mode["response_trailer_mode"] = json!("SKIP");
        }
        let untrusted = [parts::DESTINATION, parts::SERVED].map(|header| json!({"remove": header}));
        vec![
            json!({
                "name": "strip-untrusted",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
                    "mutations": {"request_mutations": untrusted},
                },
            }),
            json!({
                "name": "envoy.filters.http.ext_proc",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
                    "grpc_service": {"envoy_grpc": {"cluster_name": PICKER, "authority": authority}},
                    "processing_mode": mode,
                    "allow_mode_override": false,
                    "message_timeout": "300s",
                    "failure_mode_allow": false,
                    "metadata_options": parts::metadata_options(),
                },
            }),
        ]
    }

    fn clusters(&self, backend: &Backend) -> Vec<Value> {
        let mut picker = parts::grpc_cluster(PICKER, &parts::picker_host(backend, "svc"), 9002);
        picker["transport_socket"] = parts::any_tls();
        picker["transport_socket"]["typed_config"]["common_tls_context"]["alpn_protocols"] = json!(["h2"]);
        vec![parts::original_dst(POOL), picker]
    }
}
