//! Envoy as each gateway configures it. A [`Dialect`] is what one kind of gateway makes of an InferencePool; [`Gateway`]
//! is an Envoy that runs with it in a pod, or with what a gateway's own control plane tells it.
//!
//! Two facts tell the dialects apart: how the picker is called (TLS or not, under which `:authority`), and how its
//! answer is followed (the header, or dynamic metadata).

mod aigateway;
mod backend;
mod driven;
mod following;
mod istio;
mod log;
pub mod parts;
mod pod;
mod standalone;
mod stats;

use serde_json::{Value, json};

pub use aigateway::AiGateway;
pub use backend::Backend;
pub use following::{Following, Naming};
pub use istio::Istio;
pub use log::BadRequest;
pub use pod::Gateway;
pub use standalone::Standalone;

/// Where a gateway takes requests.
pub const HTTP_PORT: u16 = 8081;
/// Envoy's own endpoints: `/ready`, `/stats`, `/config_dump`.
pub const ADMIN_PORT: u16 = 9901;
/// Where pickers answer ext_proc.
pub const PICKER_PORT: u16 = 9002;

/// What one kind of gateway makes of a pool.
pub trait Dialect {
    /// A word for messages.
    fn name(&self) -> &'static str;

    /// The virtual host's one route, to the cluster of the pool's pods.
    fn route(&self, backend: &Backend) -> Value;

    /// The filters of the HTTP chain before the router.
    fn filters(&self, backend: &Backend) -> Vec<Value>;

    /// Every cluster that route and filters name.
    fn clusters(&self, backend: &Backend) -> Vec<Value>;

    /// How much of a body the listener may hold, in bytes.
    fn buffer_limit(&self) -> u32 {
        32 * 1024
    }

    /// The tracer, if requests are traced.
    fn tracing(&self) -> Option<Value> {
        None
    }

    /// The whole configuration of an Envoy that routes to `backend` in this dialect.
    fn bootstrap(&self, backend: &Backend) -> Value {
        let mut filters = self.filters(backend);
        filters.push(parts::router());
        let mut manager = parts::connection_manager(filters, self.route(backend));
        if let Some(tracing) = self.tracing() {
            manager["tracing"] = tracing;
        }
        json!({
            "admin": {"address": parts::everywhere(ADMIN_PORT)},
            "static_resources": {
                "listeners": [{
                    "name": "http",
                    "address": parts::everywhere(HTTP_PORT),
                    "per_connection_buffer_limit_bytes": self.buffer_limit(),
                    "filter_chains": [{
                        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}],
                    }],
                }],
                "clusters": self.clusters(backend),
            },
        })
    }
}

#[cfg(test)]
mod tests;
