//! Envoy's configuration: with a picker, or alone.

use std::net::SocketAddr;

use serde_json::{Value, json};

use e2e::envoy::parts;

const POOL: &str = "pool";
const PICKER: &str = "picker";

/// How Envoy calls a picker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// With everything, both bodies in full duplex: what the endpoint picker protocol asks for.
    Whole,
    /// With the request's headers alone.
    Headers,
}

/// An Envoy on `port` that sends requests to the model servers in turn.
pub fn alone(port: u16, servers: &[SocketAddr]) -> Value {
    let endpoint = |server: &SocketAddr| {
        let address = parts::address(&server.ip().to_string(), server.port());
        json!({"endpoint": {"address": address}})
    };
    let endpoints: Vec<Value> = servers.iter().map(endpoint).collect();
    let pool = json!({
        "name": POOL,
        "type": "STATIC",
        "lb_policy": "ROUND_ROBIN",
        "connect_timeout": "10s",
        "circuit_breakers": parts::circuit_breakers(),
        "load_assignment": {"cluster_name": POOL, "endpoints": [{"lb_endpoints": endpoints}]},
    });
    bootstrap(port, Vec::new(), vec![pool])
}

/// An Envoy on `port` that sends each request where the picker on `picker` says.
pub fn with_picker(port: u16, picker: u16, mode: Mode) -> Value {
    let filter = json!({
        "name": "envoy.filters.http.ext_proc",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
            "grpc_service": {"envoy_grpc": {"cluster_name": PICKER}},
            "processing_mode": mode.processing(),
            "message_timeout": "30s",
        },
    });
    let picker = parts::grpc_cluster(PICKER, "127.0.0.1", picker);
    bootstrap(port, vec![filter], vec![parts::original_dst(POOL), picker])
}

impl Mode {
    fn processing(self) -> Value {
        match self {
            Self::Whole => parts::processing_mode("FULL_DUPLEX_STREAMED"),
            Self::Headers => json!({
                "request_header_mode": "SEND",
                "request_body_mode": "NONE",
                "request_trailer_mode": "SKIP",
                "response_header_mode": "SKIP",
                "response_body_mode": "NONE",
                "response_trailer_mode": "SKIP",
            }),
        }
    }
}

fn bootstrap(port: u16, mut filters: Vec<Value>, clusters: Vec<Value>) -> Value {
    filters.push(parts::router());
    let manager = parts::connection_manager(filters, parts::route_to(POOL));
    json!({
        "static_resources": {
            "listeners": [{
                "name": "http",
                "address": parts::address("127.0.0.1", port),
                "filter_chains": [{
                    "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}],
                }],
            }],
            "clusters": clusters,
        },
    })
}
