//! The merge of a user's pod template into ours, by the rules of Kubernetes' strategic merge: objects merge,
//! lists whose entries have a key merge by it, other lists are replaced, null and `$patch: delete` delete,
//! `$patch: replace` replaces. One thing differs: `args` are added to ours, without which no picker works. (kubectl takes nulls out before it sends them.)
//!
//! `k8s_openapi::DeepMerge` would not do: it merges typed values, in which a null, a `$patch` and a field that pods
//! don't have are lost before they could delete, replace or be refused, and it replaces `args`.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::{Map, Value};

use crate::drift;
use crate::names;

pub(super) mod safe;

/// The error of a pod template, or of another field of `spec.picker`.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// A value of the wrong type.
    #[error("spec.picker.podTemplate: {0}")]
    Shape(#[from] serde_json::Error),
    /// One that was not read.
    #[error("spec.picker.podTemplate: {0}")]
    Unread(String),
    /// A field that pods don't have.
    #[error("spec.picker.podTemplate.{0}: pods have no such field")]
    Unknown(String),
    /// A label by which the operator or the Deployment finds the pods.
    #[error("spec.picker.podTemplate.metadata.labels: {0} belongs to the operator; leave it out")]
    Label(&'static str),
    /// Something that gives the pickers more rights or other content than they have.
    #[error(
        "spec.picker.podTemplate.{0}: not allowed, since it could give pods rights that the author of a \
         RoutingStrategy doesn't have; an operator with --allow-unsafe-pod-templates takes it"
    )]
    Unsafe(String),
    /// A label or an annotation that may give power.
    #[error(
        "spec.picker.podTemplate.{0}: not allowed, since labels and annotations with a prefix may say what runs \
         in a pod; an operator with --allowed-pod-metadata takes those that it names"
    )]
    Metadata(String),
    /// A label without a prefix, where they are not let through.
    #[error(
        "spec.picker.podTemplate.{0}: not allowed, since Services and NetworkPolicies may choose pods by it; an \
         operator with --allow-unprefixed-pod-labels=true takes it"
    )]
    PlainLabel(String),
    /// An environment variable that may lead the pickers elsewhere.
    #[error(
        "spec.picker.podTemplate.{path}: {name:?} is not allowed, since it could lead a picker to other files or \
         addresses; allowed are {allowed}, and with --allow-proxy-variables of the operator those of proxies"
    )]
    Variable {
        /// Where it stands.
        path: String,
        /// The variable.
        name: String,
        /// Those that are let through.
        allowed: String,
    },
    /// An amount of something that may be a device of the node.
    #[error(
        "spec.picker.resources.{0}: not allowed, since it could bring devices of the node into a pod; pickers use \
         cpu, memory and ephemeral-storage. An operator with --allow-unsafe-pod-templates takes it"
    )]
    Device(String),
    /// An image from elsewhere.
    #[error("spec.picker.image: {image} is not allowed; this operator takes images under {prefixes}")]
    Image {
        /// The image.
        image: String,
        /// What the operator takes.
        prefixes: String,
    },
    /// Metrics for those who may read them, from an image that nobody vouches for.
    #[error(
        "spec.picker.metrics.auth: with spec.picker.image it is for operators that limit the images (chart value \
         pickerImagePrefixes): it gives pickers a right of the cluster"
    )]
    Auth,
    /// A right of the cluster, by an operator that has none.
    #[error(
        "spec.picker.metrics.auth: this operator has no rights of the cluster to give (chart value watchNamespaces); leave it \
         out, and say with spec.picker.networkPolicy who may read metrics"
    )]
    OfCluster,
    /// A private key for an image that nobody vouches for.
    #[error(
        "spec.picker.tls.secretName: with spec.picker.image it is for operators that limit the images (chart value \
         pickerImagePrefixes): it shows a private key to the image"
    )]
    Key,
    /// Somebody who may reach the pickers, and can't be told.
    #[error("spec.picker.networkPolicy.{path}: {why}")]
    Peer {
        /// Where it stands.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// Our container was taken out.
    #[error("spec.picker.podTemplate.spec.containers: the container called picker must stay")]
    NoPicker,
}

/// Labels that a template may not set.
const OWN_LABELS: [&str; 7] = [
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    names::MANAGED_BY,
    names::COMPONENT,
    names::STRATEGY,
    names::STRATEGY_UID,
    names::POOL,
];

/// The pod template `base` with `overlay` merged into it.
pub(super) fn lay(base: Value, overlay: &Map<String, Value>) -> Result<Value, OverlayError> {
    if overlay.is_empty() {
        return Ok(base);
    }
    let labels = overlay.get("metadata").and_then(|m| m.get("labels"));
    if let Some(own) = OWN_LABELS.into_iter().find(|own| labels.is_some_and(|l| l.get(own).is_some())) {
        return Err(OverlayError::Label(own));
    }
    let mut merged = base;
    merge("", &mut merged, &Value::Object(overlay.clone()));
    let typed: PodTemplateSpec = serde_json::from_value(merged.clone())?;
    let pod = typed.spec.as_ref();
    if !pod.is_some_and(|pod| pod.containers.iter().any(|c| c.name == "picker")) {
        return Err(OverlayError::NoPicker);
    }
    // What the typed form lost, pods don't have.
    let known = serde_json::to_value(typed)?;
    match drift::differs("", &known, &merged) {
        Some(path) => Err(OverlayError::Unknown(path)),
        None => Ok(merged),
    }
}

/// The arguments of our container.
pub(super) fn own_args(base: &Value) -> &[Value] {
    base.pointer("/spec/containers/0/args").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn merge(field: &str, base: &mut Value, overlay: &Value) {
    match (base, overlay) {
        (base, Value::Object(overlay)) if directive(overlay) == Some("replace") => {
            let fields = overlay.iter().filter(|(name, _)| *name != DIRECTIVE);
            *base = fields.map(|(name, value)| (name.clone(), value.clone())).collect();
        }
        (Value::Object(base), Value::Object(overlay)) => {
            for (name, value) in overlay {
                if deletes(value) {
                    base.remove(name);
                } else {
                    merge(name, base.entry(name.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(base), Value::Array(overlay)) if key(field).is_some() => {
            let key = key(field).unwrap_or_default();
            for entry in overlay {
                let same = |b: &Value| !entry[key].is_null() && b[key] == entry[key];
                if deletes(entry) {
                    base.retain(|b| !same(b));
                } else if let Some(base) = base.iter_mut().find(|b| same(b)) {
                    merge("", base, entry);
                } else {
                    base.push(entry.clone());
                }
            }
        }
        (Value::Array(base), Value::Array(overlay)) if field == "args" => {
            let more: Vec<_> = overlay.iter().filter(|arg| !base.contains(arg)).cloned().collect();
            base.extend(more);
        }
        (base, overlay) => *base = overlay.clone(),
    }
}

/// The field of an object that says how it is meant, where that is not by merging.
const DIRECTIVE: &str = "$patch";

fn directive(overlay: &Map<String, Value>) -> Option<&str> {
    overlay.get(DIRECTIVE).and_then(Value::as_str)
}

fn deletes(value: &Value) -> bool {
    value.is_null() || value.as_object().and_then(directive) == Some("delete")
}

/// Merge keys of the lists of a pod, as its API declares them.
fn key(field: &str) -> Option<&'static str> {
    Some(match field {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "env"
        | "volumes"
        | "imagePullSecrets"
        | "resourceClaims" => "name",
        "volumeMounts" => "mountPath",
        "volumeDevices" => "devicePath",
        "ports" => "containerPort",
        "hostAliases" => "ip",
        "topologySpreadConstraints" => "topologyKey",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn base() -> Value {
        json!({
            "metadata": {"labels": {"app.kubernetes.io/name": "waypost-picker"}},
            "spec": {"containers": [{"name": "picker", "image": "a", "args": ["x", "y"],
                "env": [{"name": "POD_NAME", "value": "p"}]}]},
        })
    }

    fn laid(overlay: Value) -> Result<Value, String> {
        let Value::Object(overlay) = overlay else { panic!("not a mapping") };
        lay(base(), &overlay).map_err(|e| e.to_string())
    }

    #[test]
    fn objects_and_keyed_lists_merge_and_others_are_replaced() {
        let result = laid(json!({
            "metadata": {"labels": {"team": "llm"}},
            "spec": {
                "nodeSelector": {"pool": "cpu"},
                "tolerations": [{"key": "a", "operator": "Exists"}],
                "containers": [
                    {"name": "picker", "args": ["y", "z"], "env": [{"name": "RUST_LOG", "value": "debug"}]},
                    {"name": "sidecar", "image": "b"},
                ],
            },
        }));
        assert_eq!(
            result,
            Ok(json!({
                "metadata": {"labels": {"app.kubernetes.io/name": "waypost-picker", "team": "llm"}},
                "spec": {
                    "nodeSelector": {"pool": "cpu"},
                    "tolerations": [{"key": "a", "operator": "Exists"}],
                    "containers": [
                        {"name": "picker", "image": "a", "args": ["x", "y", "z"], "env": [
                            {"name": "POD_NAME", "value": "p"}, {"name": "RUST_LOG", "value": "debug"},
                        ]},
                        {"name": "sidecar", "image": "b"},
                    ],
                },
            }))
        );
    }

    #[test]
    fn things_can_be_deleted_and_replaced() {
        for delete in [Value::Null, json!({"$patch": "delete"})] {
            let result = laid(json!({"spec": {"containers": [{"name": "picker", "args": delete}]}})).unwrap();
            assert_eq!(result["spec"]["containers"][0].get("args"), None);
        }
        let result = laid(json!({"spec": {"containers": [{"name": "picker", "env": [
            {"name": "POD_NAME", "$patch": "delete"}, {"name": "X", "value": "1"},
        ]}]}}));
        assert_eq!(result.unwrap()["spec"]["containers"][0]["env"], json!([{"name": "X", "value": "1"}]));
        let result = laid(json!({"metadata": {"annotations": {"$patch": "replace", "a": "b"}}}));
        assert_eq!(result.unwrap()["metadata"]["annotations"], json!({"a": "b"}));
    }

    #[test]
    fn what_is_no_pod_is_refused_with_its_path() {
        assert_eq!(
            laid(json!({"spec": {"nodeSelektor": {"a": "b"}}})),
            Err("spec.picker.podTemplate.spec.nodeSelektor: pods have no such field".to_owned())
        );
        let error = laid(json!({"spec": {"tolerations": "all"}})).unwrap_err();
        assert!(error.starts_with("spec.picker.podTemplate: invalid type: string"), "{error}");
    }

    #[test]
    fn what_the_operator_needs_stays() {
        assert_eq!(
            laid(json!({"metadata": {"labels": {"waypost.dev/strategy": "other"}}})),
            Err("spec.picker.podTemplate.metadata.labels: waypost.dev/strategy belongs to the operator; leave it out"
                .to_owned())
        );
        assert_eq!(
            laid(json!({"spec": {"containers": null}})),
            Err("spec.picker.podTemplate.spec.containers: the container called picker must stay".to_owned())
        );
    }
}
