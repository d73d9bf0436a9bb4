//! The Deployment of a picker workload.

use crds::{ClientCa, Tls, TlsMode};
use serde_json::{Value, json};

use super::input::{EXT_PROC_PORT, HEALTH_PORT, Input, METRICS_PORT};
use super::overlay::{self, OverlayError, safe};
use crate::kinds::{Kind, Object};
use crate::names;

/// Longer than a picker needs to drain: 30 s of going on, then the end of its streams.
const GRACE_SECONDS: u32 = 130;
/// The user ID of distroless images.
const NON_ROOT: u32 = 65532;
/// The limit of memory of pickers whose strategy says nothing of resources.
pub const DEFAULT_MEMORY: &str = "1Gi";
const CERT_PATH: &str = "/etc/waypost/tls";
const CLIENT_CA_PATH: &str = "/etc/waypost/client-ca";
/// The key of a Secret or ConfigMap with the certificates of authorities.
const CLIENT_CA: &str = "ca.crt";

/// The Deployment of a pool's pickers. Nothing of `spec.routing` is in it: a change of routing must not
/// roll it.
pub(super) fn build(input: &Input<'_>) -> Result<Object, OverlayError> {
    if let Some(image) =
        input.picker.image.as_ref().filter(|image| !input.defaults.limits.allows_image(image))
    {
        let prefixes = input.defaults.limits.image_prefixes.join(", ");
        return Err(OverlayError::Image { image: image.clone(), prefixes });
    }
    if input.picker.metrics.auth && !input.defaults.limits.of_cluster {
        return Err(OverlayError::OfCluster);
    }
    // A right of the cluster, with a ServiceMonitor the token of Prometheus, and private keys are for no image of
    // anybody's.
    if input.picker.image.is_some() && input.defaults.limits.image_prefixes.is_empty() {
        if input.picker.metrics.auth {
            return Err(OverlayError::Auth);
        }
        if input.picker.tls.mode == TlsMode::Secret && !input.defaults.allow_unsafe_pod_templates {
            return Err(OverlayError::Key);
        }
    }
    // Room and time alone, where nothing else is let through.
    if let Some(resources) = &input.picker.resources
        && !input.defaults.allow_unsafe_pod_templates
        && let Some(path) = safe::device(&json!(resources))
    {
        return Err(OverlayError::Device(path));
    }
    if let Some(why) = crds::strategy::unreadable(&input.picker.pod_template) {
        return Err(OverlayError::Unread(why.to_owned()));
    }
    let base = template(input);
    if !input.defaults.allow_unsafe_pod_templates {
        safe::check(&input.picker.pod_template, overlay::own_args(&base), &input.defaults.limits)?;
    }
    let template = overlay::lay(base, &input.picker.pod_template)?;
    let as_built = template.to_string();
    let mut spec = json!({
        "selector": {"matchLabels": names::selector(input.name)},
        // A new picker is ready before an old one goes.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": template,
    });
    // Under an autoscaler the field is not ours.
    if input.picker.autoscaling.is_none() {
        spec["replicas"] = input.least_replicas().into();
    }
    let mut object = input.object(Kind::Deployment, json!({"spec": spec}))?;
    let annotations = object.content.metadata.annotations.get_or_insert_default();
    annotations.insert(ASKED.to_owned(), asked(input));
    annotations.insert(TEMPLATE.to_owned(), as_built);
    Ok(object)
}

/// Annotation with a hash of what the strategy asks of its pods. Where it is the same and the template is
/// not, the operator's release has changed.
pub const ASKED: &str = "waypost.dev/asked";
/// Annotation with the pod template as it was built. The one in the Deployment has what the API server and
/// others added, or changed; this one can be kept, and put back, by a release that would build another.
pub const TEMPLATE: &str = "waypost.dev/template";

fn asked(input: &Input<'_>) -> String {
    picker_core::config::revision(&json!([input.picker.pods(), input.made_for.0, input.pool, input.group]))
}

fn template(input: &Input<'_>) -> Value {
    let mut pod = json!({
        "serviceAccountName": input.name,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": NON_ROOT,
            "runAsGroup": NON_ROOT,
            "fsGroup": NON_ROOT,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container(input)],
    });
    let volumes = volumes(&input.picker.tls);
    if !volumes.is_empty() {
        pod["volumes"] = volumes.into();
    }
    json!({
        "metadata": {"labels": input.pod_labels()},
        "spec": pod,
    })
}

/// Of Secrets and ConfigMaps only what pickers use: naming one here must not be a way to have others of its keys in a pod.
fn volumes(tls: &Tls) -> Vec<Value> {
    let item = |key: &str| json!({"key": key, "path": key});
    let mut volumes = Vec::new();
    if tls.mode == TlsMode::Secret {
        let items = [item("tls.crt"), item("tls.key")];
        volumes.push(json!({"name": "tls", "secret": {"secretName": tls.secret_name, "items": items}}));
    }
    let items = [item(CLIENT_CA)];
    match &tls.client_ca {
        Some(ClientCa { config_map_name: Some(name), .. }) => {
            volumes.push(json!({"name": "client-ca", "configMap": {"name": name, "items": items}}));
        }
        Some(ClientCa { secret_name, .. }) => {
            volumes.push(json!({"name": "client-ca", "secret": {"secretName": secret_name, "items": items}}));
        }
        None => {}
    }
    volumes
}

fn container(input: &Input<'_>) -> Value {
    let from_field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    let port = |name: &str, number: u16| json!({"name": name, "containerPort": number, "protocol": "TCP"});
    let mut container = json!({
        "name": "picker",
        "image": input.picker.image.as_ref().unwrap_or(&input.defaults.image),
        "imagePullPolicy": "IfNotPresent",
        "args": args(input),
        "env": [
            {"name": "POD_NAME", "valueFrom": from_field("metadata.name")},
            {"name": "POD_NAMESPACE", "valueFrom": from_field("metadata.namespace")},
            {"name": "POD_IP", "valueFrom": from_field("status.podIP")},
        ],
        "ports": [
            port("ext-proc", EXT_PROC_PORT), port("health", HEALTH_PORT), port("metrics", METRICS_PORT),
        ],
        "readinessProbe": {
            "grpc": {"port": HEALTH_PORT, "service": "readiness"},
            "periodSeconds": 1,
            "failureThreshold": 2,
        },
        // Not before it could have started: a picker that waits for its strategy is alive, not ready.
        "livenessProbe": {
            "grpc": {"port": HEALTH_PORT, "service": "liveness"},
            "initialDelaySeconds": 5,
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": match &input.picker.resources {
            Some(given) => json!(given),
            None => json!({"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": DEFAULT_MEMORY}}),
        },
    });
    let tls = &input.picker.tls;
    let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path, "readOnly": true});
    let certificate = (tls.mode == TlsMode::Secret).then(|| mount("tls", CERT_PATH));
    let client_ca = tls.client_ca.is_some().then(|| mount("client-ca", CLIENT_CA_PATH));
    let mounts: Vec<_> = certificate.into_iter().chain(client_ca).collect();
    if !mounts.is_empty() {
        container["volumeMounts"] = mounts.into();
    }
    container
}

fn args(input: &Input<'_>) -> Vec<String> {
    let mut args = vec![
        format!("--strategy={}/{}", input.namespace, input.made_for.0),
        format!("--pool-name={}", input.pool),
        format!("--pool-namespace={}", input.namespace),
        format!("--pool-group={}", input.group.group()),
    ];
    match input.picker.tls.mode {
        TlsMode::SelfSigned => {}
        TlsMode::Secret => args.push(format!("--cert-path={CERT_PATH}")),
        TlsMode::Disabled => args.push("--secure-serving=false".to_owned()),
    }
    if input.picker.tls.client_ca.is_some() {
        args.push(format!("--client-ca={CLIENT_CA_PATH}/{CLIENT_CA}"));
    }
    if input.picker.metrics.auth {
        args.push("--metrics-endpoint-auth=true".to_owned());
    }
    args
}
