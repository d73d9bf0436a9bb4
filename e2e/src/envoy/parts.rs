//! Parts of an Envoy configuration that several dialects use.

use serde_json::{Value, json};

use super::backend::Backend;
use crate::cluster::{Family, network};

/// Name of the header, and of the metadata string in `envoy.lb`, by which a picker names its choice.
pub const DESTINATION: &str = "x-gateway-destination-endpoint";
/// Where an override_host cluster says who really served.
pub const SERVED: &str = "x-gateway-destination-endpoint-served";

/// A socket address.
pub fn address(host: &str, port: u16) -> Value {
    json!({"socket_address": {"address": host, "port_value": port}})
}

/// `port` of every address of the pod, of both families.
pub fn everywhere(port: u16) -> Value {
    json!({"socket_address": {"address": "::", "port_value": port, "ipv4_compat": true}})
}

/// The family that Envoy asks the cluster's DNS for, as gateways' controllers set it.
pub fn lookup_family() -> &'static str {
    match network::family() {
        Family::Ipv4 => "V4_ONLY",
        Family::Ipv6 => "V6_ONLY",
    }
}

/// The last filter of every chain.
pub fn router() -> Value {
    json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    })
}

/// The HTTP side of the listener: one route for everything, no time limits, and a line in the log for every request
/// that did not end well.
pub fn connection_manager(filters: Vec<Value>, route: Value) -> Value {
    let line = "%START_TIME% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% flags=%RESPONSE_FLAGS% to=%UPSTREAM_HOST% \
                after=%DURATION%ms %UPSTREAM_TRANSPORT_FAILURE_REASON% id=%REQ(X-REQUEST-ID)%\n";
    let bad = json!({"comparison": {"op": "GE", "value": {"default_value": 500, "runtime_key": "none"}}});
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "codec_type": "AUTO",
        "stream_idle_timeout": "0s",
        "request_timeout": "0s",
        "http_filters": filters,
        "route_config": {"name": "all", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "access_log": [{
            "name": "envoy.access_loggers.stdout",
            "filter": {"or_filter": {"filters": [{"status_code_filter": bad}, {"response_flag_filter": {}}]}},
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
                "log_format": {"text_format_source": {"inline_string": line}},
            },
        }],
    })
}

/// Everything to `cluster`, for as long as it takes.
pub fn route_to(cluster: &str) -> Value {
    json!({"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s", "idle_timeout": "0s"}})
}

/// All six phases of an exchange, with both bodies sent as `body`.
pub fn processing_mode(body: &str) -> Value {
    json!({
        "request_header_mode": "SEND",
        "request_body_mode": body,
        "request_trailer_mode": "SEND",
        "response_header_mode": "SEND",
        "response_body_mode": body,
        "response_trailer_mode": "SEND",
    })
}

/// Lets the namespace `envoy.lb` through in both directions: hints to the picker, its choice back.
pub fn metadata_options() -> Value {
    json!({"forwarding_namespaces": {"untyped": ["envoy.lb"]}, "receiving_namespaces": {"untyped": ["envoy.lb"]}})
}

/// The host and port of the picker's Service as the gateway spells it: `suffix` is `svc` or `svc.cluster.local`.
pub fn picker_host(backend: &Backend, suffix: &str) -> String {
    format!("{}.{}.{suffix}", backend.picker, backend.namespace)
}

/// A cluster that speaks HTTP/2 to `host:port`, looked up in DNS.
pub fn grpc_cluster(name: &str, host: &str, port: u16) -> Value {
    let endpoint = json!({"health_status": "HEALTHY", "endpoint": {"address": address(host, port)}});
    json!({
        "name": name,
        "type": "STRICT_DNS",
        "lb_policy": "LEAST_REQUEST",
        "connect_timeout": "10s",
        "dns_lookup_family": lookup_family(),
        "circuit_breakers": circuit_breakers(),
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            },
        },
    })
}

/// TLS as gateways dial a picker: any certificate is accepted, no server name is sent.
pub fn any_tls() -> Value {
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": {"validation_context": {}},
        },
    })
}

/// A cluster without hosts of its own: the header names the address.
pub fn original_dst(name: &str) -> Value {
    json!({
        "name": name,
        "type": "ORIGINAL_DST",
        "lb_policy": "CLUSTER_PROVIDED",
        "connect_timeout": "10s",
        "circuit_breakers": circuit_breakers(),
        "original_dst_lb_config": {"use_http_header": true, "http_header_name": DESTINATION},
    })
}

/// More than any gateway has at once. Envoy's own limit is 1,024.
pub fn circuit_breakers() -> Value {
    let most = 40_000;
    json!({"thresholds": [{
        "max_connections": most, "max_pending_requests": most, "max_requests": most, "max_retries": 1024,
    }]})
}
