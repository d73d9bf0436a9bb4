//! Objects that stories need: CRDs of other projects, simulated model servers, pools.

mod model_servers;

use anyhow::Result;

pub use model_servers::{ModelServers, Pool};

use crate::Kubectl;

const CRDS: [&str; 3] = [
    include_str!("../manifests/inferencepool-v1.yaml"),
    include_str!("../manifests/inferencepool-v1alpha2.yaml"),
    include_str!("../manifests/inferenceobjective-v1alpha2.yaml"),
];

/// Applies the definitions of InferencePool (both groups) and InferenceObjective.
///
/// # Errors
/// When the API server refuses one.
pub async fn crds(kubectl: &Kubectl) -> Result<()> {
    for crd in CRDS {
        kubectl.apply("", crd).await?;
    }
    Ok(())
}
