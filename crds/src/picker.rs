//! The pickers of a strategy, as a workload.

use k8s_openapi::api::core::v1::ResourceRequirements;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::network_policy::NetworkPolicy;
use crate::schema::{free_form, resources, rule};

/// The Deployment that is made for each pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("!(has(self.replicas) && has(self.autoscaling))", "give at most one of replicas and autoscaling", ".replicas"),
    rule(
        "!has(self.networkPolicy) || has(self.networkPolicy.metrics) || !self.metrics.serviceMonitor",
        "with metrics.serviceMonitor, say who may read metrics: the pods of Prometheus, or [] if another NetworkPolicy does",
        ".networkPolicy.metrics"
    )
]))]
pub struct PickerSpec {
    /// Image of the picker. Default: the one of the operator's own release. An operator may be told to take
    /// only images under certain prefixes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub image: Option<String>,
    /// Number of pickers for each pool. Default: 2, unless autoscaling is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub replicas: Option<i32>,
    /// Scales the pickers of each pool with a HorizontalPodAutoscaler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// Resources of the picker's container. Default: requests of 100m CPU and 128Mi memory, and a limit of
    /// 1Gi memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "resources")]
    pub resources: Option<ResourceRequirements>,
    /// What a gateway does when no picker answers, written to the pool. FailOpen: it picks an endpoint by
    /// itself. FailClose: it refuses the request. Default: what the pool has, and FailOpen where it names no
    /// picker yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_mode: Option<FailureMode>,
    /// The certificate that gateways see, and those that they have to show. Plaintext HTTP/2 is answered on the same
    /// port, unless gateways have to show one.
    #[serde(default)]
    #[schemars(extend("default" = {"mode": "SelfSigned"}))]
    pub tls: Tls,
    /// Who may read the metrics of the pickers, and who is told of them.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub metrics: Metrics,
    /// Who may reach the pickers over the network: a NetworkPolicy is made for each pool. Default: none is made, and
    /// whoever reaches the pods may connect. Where the cluster's network plugin knows no NetworkPolicies, it has no
    /// effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<NetworkPolicy>,
    /// When pickers are rolled out anew because a new release of the operator makes them otherwise, and not
    /// because of a change here. Automatic: one Deployment of the cluster at a time. Manual: their pods stay as
    /// they were made until something changes here that shapes them, such as the image, or this policy; the
    /// condition Available then says UpgradePending.
    #[serde(default)]
    #[schemars(extend("default" = "Automatic"))]
    pub update_policy: UpdatePolicy,
    /// A PodTemplateSpec laid over the one that is made, by strategic merge. What says where and how large
    /// pickers run is let through: labels and annotations without a prefix, and those that the operator allows;
    /// nodeSelector, tolerations, affinity, topologySpreadConstraints, priorityClassName and so on; and of the
    /// container called picker its resources, RUST_LOG, RUST_BACKTRACE and TOKIO_WORKER_THREADS of its env, and args
    /// about logging, limits and timeouts, which are added to those that are there. The rest needs an operator with --allow-unsafe-pod-templates. An object
    /// with `$patch: delete` takes what has its name out. At most 32 KiB of JSON.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "free_form")]
    pub pod_template: Map<String, Value>,
}

/// The number of pickers for each pool where a strategy says nothing of it.
pub const DEFAULT_REPLICAS: i32 = 2;

/// Fields that shape no pod.
const OF_NO_POD: [&str; 5] = ["replicas", "autoscaling", "failureMode", "networkPolicy", "updatePolicy"];

impl PickerSpec {
    /// What shapes the pods, as its author wrote it: without what is a default, so that neither a field nor a
    /// default that a later release adds makes it look changed.
    pub fn pods(&self) -> Value {
        let json = |spec: &Self| serde_json::to_value(spec).unwrap_or_default();
        let mut written = json(self);
        without(&mut written, &json(&Self::default()));
        if let Value::Object(fields) = &mut written {
            fields.retain(|name, _| !OF_NO_POD.contains(&name.as_str()));
            if let Some(Value::Object(metrics)) = fields.get_mut("metrics") {
                metrics.remove("serviceMonitor");
            }
            fields.retain(|_, field| *field != Value::Object(Map::new()));
        }
        written
    }
}

/// Takes out of `value` what `default` has too.
fn without(value: &mut Value, default: &Value) {
    let (Value::Object(fields), Value::Object(defaults)) = (value, default) else { return };
    fields.retain(|name, field| match defaults.get(name) {
        Some(default) if default == field => false,
        Some(default) => {
            without(field, default);
            true
        }
        None => true,
    });
}

/// Who may read the metrics of the pickers, and who is told of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Whether /metrics and /debug answer only a bearer token that the API server knows and whose owner may
    /// get these paths (nonResourceURLs). A ClusterRoleBinding then gives system:auth-delegator to the
    /// ServiceAccounts of the pickers, so that they can ask.
    #[serde(default)]
    #[schemars(extend("default" = false))]
    pub auth: bool,
    /// Whether a ServiceMonitor of the Prometheus operator is made for each pool. Where that kind is not
    /// installed, the condition Available says so, and it is made when it is.
    #[serde(default)]
    #[schemars(extend("default" = false))]
    pub service_monitor: bool,
}

/// When a new release of the operator changes running pickers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum UpdatePolicy {
    // Undocumented here, since documented variants become a oneOf, which the API server refuses.
    #[allow(missing_docs)]
    #[default]
    Automatic,
    #[allow(missing_docs)]
    Manual,
}

/// Bounds of a HorizontalPodAutoscaler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("self.minReplicas <= self.maxReplicas", "must not exceed maxReplicas", ".minReplicas")
]))]
pub struct Autoscaling {
    /// The least number of pickers.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: i32,
    /// The largest number of pickers.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,
    /// Average CPU use that is aimed at, in percent of the CPU request.
    #[serde(default = "eighty", rename = "targetCPUUtilizationPercentage")]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_utilization_percentage: i32,
}

fn one() -> i32 {
    1
}

fn eighty() -> i32 {
    80
}

/// What a gateway does when no picker answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum FailureMode {
    // Undocumented here, since documented variants become a oneOf, which the API server refuses.
    #[allow(missing_docs)]
    #[default]
    FailOpen,
    #[allow(missing_docs)]
    FailClose,
}

impl FailureMode {
    /// The value as the InferencePool APIs spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FailOpen => "FailOpen",
            Self::FailClose => "FailClose",
        }
    }
}

/// The certificate that gateways see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("self.mode != 'Secret' || has(self.secretName)", "is required when mode is Secret", ".secretName"),
    rule("self.mode == 'Secret' || !has(self.secretName)", "is for mode Secret only", ".secretName"),
    rule("self.mode != 'Disabled' || !has(self.clientCA)", "needs TLS: another mode than Disabled", ".clientCA")
]))]
pub struct Tls {
    /// SelfSigned: each picker makes its own at start. Secret: the one in a Secret of the strategy's
    /// namespace, taken up anew when it changes. Disabled: plaintext only.
    #[serde(default)]
    #[schemars(extend("default" = "SelfSigned"))]
    pub mode: TlsMode,
    /// Name of a Secret of type kubernetes.io/tls. Pickers see its keys tls.crt and tls.key and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: Option<String>,
    /// The authorities of the gateways' own certificates. With them pickers are for gateways that show a certificate
    /// of one of these, and take no plaintext. Without, whoever reaches the port may ask.
    #[serde(default, rename = "clientCA", skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<ClientCa>,
}

/// Where the certificates of authorities are: under the key ca.crt of a ConfigMap or of a Secret of the strategy's
/// namespace, as PEM. They are taken up anew when they change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("has(self.configMapName) != has(self.secretName)", "give one of configMapName and secretName", "")
]))]
pub struct ClientCa {
    /// Name of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub config_map_name: Option<String>,
    /// Name of a Secret. Pickers see its key ca.crt and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: Option<String>,
}

/// Where the certificate comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum TlsMode {
    // Undocumented here, since documented variants become a oneOf, which the API server refuses.
    #[allow(missing_docs)]
    #[default]
    SelfSigned,
    #[allow(missing_docs)]
    Secret,
    #[allow(missing_docs)]
    Disabled,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pods(spec: Value) -> Value {
        serde_json::from_value::<PickerSpec>(spec).unwrap().pods()
    }

    #[test]
    fn what_shapes_pods_is_what_was_written() {
        assert_eq!(pods(json!({})), json!({}));
        // As the API server stores it.
        let stored = json!({"failureMode": "FailOpen", "tls": {"mode": "SelfSigned"}, "updatePolicy": "Automatic",
            "metrics": {"auth": false, "serviceMonitor": false}});
        assert_eq!(pods(stored), json!({}));
        let written = json!({
            "image": "a", "resources": {"limits": {"cpu": "1"}}, "tls": {"mode": "Secret", "secretName": "x"},
            "podTemplate": {"spec": {"nodeSelector": {}}},
        });
        assert_eq!(pods(written.clone()), written);
    }

    #[test]
    fn how_many_there_are_and_who_reaches_them_shapes_none() {
        let scaled = json!({"autoscaling": {"maxReplicas": 3}, "failureMode": "FailClose", "updatePolicy": "Manual",
            "metrics": {"serviceMonitor": true}});
        assert_eq!(pods(scaled), json!({}));
        assert_eq!(pods(json!({"replicas": 5})), json!({}));
        assert_eq!(pods(json!({"networkPolicy": {"gateways": [{"podSelector": {}}]}})), json!({}));
    }
}
