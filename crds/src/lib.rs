//! Waypost's Kubernetes API: [`RoutingStrategy`], and the foreign kinds that are read with it.
//!
//! The custom resource definition is made from these types by the `crdgen` program, and the routing
//! body in it from the same types that the picker compiles.

pub mod history;
pub mod manifest;
pub mod model_rewrite;
pub mod names;
pub mod network_policy;
pub mod objective;
mod paused;
pub mod picker;
pub mod pool;
pub mod routing;
mod schema;
pub mod status;
pub mod strategy;

pub use model_rewrite::{InferenceModelRewriteSpec, InferenceModelSpec, model_resource, rewrite_resource};
pub use network_policy::{NetworkPolicy, Peer};
pub use objective::{InferenceObjectiveSpec, ObjectiveGroup, ObjectivePoolRef};
pub use paused::Paused;
pub use picker::{Autoscaling, ClientCa, FailureMode, Metrics, PickerSpec, Tls, TlsMode, UpdatePolicy};
pub use pool::{InferencePool, InferencePoolV1Alpha2, PickerRef, Pool, PoolGroup};
pub use routing::RoutingBody;
pub use status::{PickerStatus, PoolState, PoolStatus, PoolTraffic, RoutingStrategyStatus, Summary};
pub use strategy::{Binding, PoolClaim, RoutingStrategy, RoutingStrategySpec};

/// The API group of RoutingStrategy, and the prefix of the labels and annotations of this project.
pub const GROUP: &str = "waypost.dev";
