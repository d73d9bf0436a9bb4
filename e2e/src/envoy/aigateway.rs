//! Envoy AI Gateway (internal/extensionserver): the picker over TLS, its choice by header, bodies in full duplex.

use serde_json::{Value, json};

use super::{Backend, Dialect, parts};

/// What Envoy AI Gateway makes of a pool.
#[derive(Clone, Copy, Debug, Default)]
pub struct AiGateway {
    /// The pool's annotation that asks for whole bodies instead of streamed ones, with the mode override that it
    /// needs to let answers stream.
    pub buffered: bool,
}

const POOL: &str = "pool";

impl AiGateway {
    fn picker_cluster(backend: &Backend) -> String {
        format!("envoy.clusters.endpointpicker_{}_{}_ext_proc", backend.pods, backend.namespace)
    }
}

impl Dialect for AiGateway {
    fn name(&self) -> &'static str {
        if self.buffered { "Envoy AI Gateway, buffered" } else { "Envoy AI Gateway" }
    }

    fn route(&self, _: &Backend) -> Value {
        parts::route_to(POOL)
    }

    fn filters(&self, backend: &Backend) -> Vec<Value> {
        let authority = format!("{}:9002", parts::picker_host(backend, "svc"));
        let mode = if self.buffered { "BUFFERED" } else { "FULL_DUPLEX_STREAMED" };
        vec![json!({
            "name": format!("envoy.filters.http.ext_proc/endpointpicker/{}_{}_ext_proc", backend.pods, backend.namespace),
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
                "grpc_service": {
                    "envoy_grpc": {"cluster_name": Self::picker_cluster(backend), "authority": authority},
                },
                "processing_mode": parts::processing_mode(mode),
                "allow_mode_override": self.buffered,
                "message_timeout": "300s",
                "failure_mode_allow": false,
            },
        })]
    }

    fn clusters(&self, backend: &Backend) -> Vec<Value> {
        let name = Self::picker_cluster(backend);
        let mut picker = parts::grpc_cluster(&name, &parts::picker_host(backend, "svc"), 9002);
        picker["transport_socket"] = parts::any_tls();
        let mut pool = parts::original_dst(POOL);
        for cluster in [&mut picker, &mut pool] {
            cluster["per_connection_buffer_limit_bytes"] = json!(self.buffer_limit());
        }
        vec![pool, picker]
    }

    /// Envoy Gateway's 32 KiB; the whole body must fit when it is buffered.
    fn buffer_limit(&self) -> u32 {
        if self.buffered { 50 << 20 } else { 32 << 10 }
    }
}
