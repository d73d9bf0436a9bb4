//! Istio: the picker in plaintext under Istio's own cluster name as `:authority`, its choice by metadata, and a cluster
//! that knows the pods itself.

use serde_json::{Value, json};

use super::{Backend, Dialect, parts};

/// What Istio makes of a pool.
#[derive(Clone, Copy, Debug, Default)]
pub struct Istio {
    /// The pool's failureMode is FailOpen: without an answer of the picker, requests go round robin.
    pub fail_open: bool,
    /// Every request is traced, and so is every call of the picker: a new `traceparent` each time.
    pub tracing: bool,
}

/// The listener names a cluster that is never called; each route names the right one.
const DUMMY: &str = "dummy";
const TRACES: &str = "traces";

impl Istio {
    /// Also what Envoy sends as `:authority`, because the gRPC service says nothing else.
    fn picker_cluster(backend: &Backend) -> String {
        format!("outbound|9002||{}", parts::picker_host(backend, "svc.cluster.local"))
    }

    fn pool_cluster(backend: &Backend) -> String {
        format!("outbound|{}||{}.{}.svc.cluster.local", backend.port, backend.pods, backend.namespace)
    }
}

impl Dialect for Istio {
    fn name(&self) -> &'static str {
        match (self.tracing, self.fail_open) {
            (false, false) => "Istio",
            (false, true) => "Istio, failing open",
            (true, false) => "Istio, traced",
            (true, true) => "Istio, traced, failing open",
        }
    }

    fn route(&self, backend: &Backend) -> Value {
        let mut route = parts::route_to(&Self::pool_cluster(backend));
        route["typed_per_filter_config"] = json!({
            "envoy.filters.http.ext_proc": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute",
                "overrides": {
                    "grpc_service": {"envoy_grpc": {"cluster_name": Self::picker_cluster(backend)}},
                    "processing_mode": parts::processing_mode("FULL_DUPLEX_STREAMED"),
                    "failure_mode_allow": self.fail_open,
                },
            },
        });
        route
    }

    fn filters(&self, _: &Backend) -> Vec<Value> {
        vec![json!({
            "name": "envoy.filters.http.ext_proc",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
                "grpc_service": {"envoy_grpc": {"cluster_name": DUMMY}, "timeout": "10s"},
                "processing_mode": {"request_header_mode": "SKIP", "response_header_mode": "SKIP"},
                "message_timeout": "1000s",
                "failure_mode_allow": true,
                "metadata_options": parts::metadata_options(),
            },
        })]
    }

    fn clusters(&self, backend: &Backend) -> Vec<Value> {
        let picker = parts::picker_host(backend, "svc.cluster.local");
        vec![
            parts::grpc_cluster(DUMMY, "127.0.0.1", 1),
            parts::grpc_cluster(TRACES, "127.0.0.1", 4317),
            parts::grpc_cluster(&Self::picker_cluster(backend), &picker, 9002),
            override_host(backend),
        ]
    }

    fn tracing(&self) -> Option<Value> {
        // Nobody collects the spans: what matters is the header that goes with each call.
        let provider = json!({
            "name": "envoy.tracers.opentelemetry",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
                "grpc_service": {"envoy_grpc": {"cluster_name": TRACES}, "timeout": "0.25s"},
                "service_name": "gateway",
            },
        });
        self.tracing.then(|| json!({"random_sampling": {"value": 100}, "provider": provider}))
    }
}

/// Hosts from DNS, asked every second, where Istio gets them pushed; the metadata chooses among them.
fn override_host(backend: &Backend) -> Value {
    let name = Istio::pool_cluster(backend);
    let host = format!("{}.{}.svc.cluster.local", backend.pods, backend.namespace);
    let metadata = |key: &str| json!({"key": "envoy.lb", "path": [{"key": key}]});
    let round_robin = json!({
        "name": "envoy.load_balancing_policies.round_robin",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin",
        },
    });
    let policy = json!({
        "name": "envoy.load_balancing_policies.override_host",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.load_balancing_policies.override_host.v3.OverrideHost",
            "override_host_sources": [{"metadata": metadata(parts::DESTINATION)}],
            "selected_host_key": metadata(parts::SERVED),
            "fallback_policy": {"policies": [{"typed_extension_config": round_robin}]},
        },
    });
    let endpoint = json!({"endpoint": {"address": parts::address(&host, backend.port)}});
    json!({
        "name": name,
        "type": "STRICT_DNS",
        "connect_timeout": "10s",
        "dns_lookup_family": parts::lookup_family(),
        "dns_refresh_rate": "1s",
        "circuit_breakers": parts::circuit_breakers(),
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "load_balancing_policy": {"policies": [{"typed_extension_config": policy}]},
    })
}
