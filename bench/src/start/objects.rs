//! Kubernetes objects for a start: a pool, its pods, and a strategy, in a namespace of their own.

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use e2e::{Kubectl, fixtures, paths};

/// The namespace.
pub const NAMESPACE: &str = "waypost-bench-start";
/// The pool, and the strategy.
pub const NAME: &str = "many";
/// The definition of the strategy's kind.
const KIND: &str = "routingstrategies.waypost.dev";
/// Requests to the API server at once.
const AT_ONCE: usize = 24;

/// What was made.
pub struct Objects {
    kubectl: Kubectl,
    /// Whether the kind was not there before.
    kind_is_ours: bool,
}

impl Objects {
    /// Makes everything, with `pods` pods whose servers listen on `port`.
    ///
    /// # Errors
    /// When the API server refuses something.
    pub async fn create(kubectl: Kubectl, pods: u16, port: u16) -> Result<Self> {
        let kinds = Api::<CustomResourceDefinition>::all(kubectl.client().clone());
        let kind_is_ours = kinds.get_opt(KIND).await?.is_none();
        if kind_is_ours {
            let file = paths::checkout().join("config/crd/waypost.dev_routingstrategies.yaml");
            kubectl.apply("", &std::fs::read_to_string(file)?).await?;
        }
        let objects = Self { kubectl, kind_is_ours };
        objects.kubectl.create_namespace(NAMESPACE).await?;
        let mut pool = fixtures::Pool::new(NAME, NAME, "none").v1();
        pool["spec"]["targetPorts"] = json!([{"number": port}]);
        objects.kubectl.apply_object(NAMESPACE, pool).await?;
        objects.kubectl.apply_object(NAMESPACE, strategy()).await?;
        let api = Api::<Pod>::namespaced(objects.kubectl.client().clone(), NAMESPACE);
        stream::iter((0..pods).map(|at| running(&api, at)))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        Ok(objects)
    }

    /// Takes everything away again.
    ///
    /// # Errors
    /// When something does not go.
    pub async fn delete(self) -> Result<()> {
        self.kubectl.delete_namespace(NAMESPACE).await?;
        if self.kind_is_ours {
            let kinds = Api::<CustomResourceDefinition>::all(self.kubectl.client().clone());
            kinds.delete(KIND, &DeleteParams::default()).await?;
        }
        Ok(())
    }
}

/// It claims a pool that is not there: an operator that may run has nothing to do.
fn strategy() -> Value {
    json!({
        "apiVersion": "waypost.dev/v1alpha1",
        "kind": "RoutingStrategy",
        "metadata": {"name": NAME},
        "spec": {
            "pools": [{"name": "none"}],
            "routing": {
                "plugins": [
                    {"type": "queue-scorer"},
                    {"type": "kv-cache-utilization-scorer"},
                    {"type": "prefix-cache-scorer"},
                ],
                "schedulingProfiles": [{"name": "default", "plugins": [
                    {"pluginRef": "queue-scorer", "weight": 2},
                    {"pluginRef": "kv-cache-utilization-scorer", "weight": 2},
                    {"pluginRef": "prefix-cache-scorer", "weight": 3},
                ]}],
            },
        },
    })
}

/// Makes the pod number `at`, and says that it runs.
async fn running(api: &Api<Pod>, at: u16) -> Result<()> {
    let pod: Pod = serde_json::from_value(pod(at))?;
    let name = pod.metadata.name.clone().unwrap_or_default();
    api.create(&PostParams::default(), &pod).await.with_context(|| format!("creating pod {name}"))?;
    let status = Patch::Merge(json!({"status": status(at)}));
    let patched = api.patch_status(&name, &PatchParams::default(), &status).await;
    patched.map(drop).with_context(|| format!("the status of pod {name}"))
}

/// The size of the pod of a model server. Its gate keeps the scheduler from it, so no node ever takes it.
fn pod(at: u16) -> Value {
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": "http"}, "periodSeconds": 5});
    let env = |name: &str| json!({"name": name, "value": "0123456789abcdef0123456789abcdef"});
    let variables = ["HF_HOME", "VLLM_LOGGING_LEVEL", "NCCL_DEBUG", "VLLM_CACHE_ROOT", "CUDA_HOME"].map(env);
    json!({
        "metadata": {
            "name": format!("{NAME}-{at:04}"),
            "labels": {"app": NAME, "llm-d.ai/model": "a-model", "llm-d.ai/role": "both", "pod-template-hash": "5d8f6c7b9"},
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8000"},
        },
        "spec": {
            "schedulingGates": [{"name": "waypost.dev/bench"}],
            "containers": [{
                "name": "vllm",
                "image": "vllm/vllm-openai:v0.11.0",
                "args": ["--model", "meta-llama/Llama-3.3-70B-Instruct", "--tensor-parallel-size", "8", "--port", "8000"],
                "env": variables,
                "ports": [{"name": "http", "containerPort": 8000}],
                "resources": {"requests": {"cpu": "8", "memory": "64Gi"}, "limits": {"memory": "128Gi"}},
                "livenessProbe": probe("/health"),
                "readinessProbe": probe("/v1/models"),
                "startupProbe": probe("/v1/models"),
                "volumeMounts": [
                    {"name": "cache", "mountPath": "/cache"},
                    {"name": "shm", "mountPath": "/dev/shm"},
                ],
            }],
            "volumes": [
                {"name": "cache", "emptyDir": {}},
                {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}},
            ],
        },
    })
}

/// That of a pod which serves, at an address of this machine.
fn status(at: u16) -> Value {
    let [high, low] = (at + 1).to_be_bytes();
    let address = format!("127.1.{high}.{low}");
    let since = "2026-01-01T00:00:00Z";
    let holds = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": since});
    let conditions =
        ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"].map(holds);
    json!({
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": since,
        "conditions": conditions,
        "containerStatuses": [{
            "name": "vllm",
            "image": "docker.io/vllm/vllm-openai:v0.11.0",
            "imageID": "docker.io/vllm/vllm-openai@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "containerID": "containerd://0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "ready": true,
            "started": true,
            "restartCount": 0,
            "state": {"running": {"startedAt": since}},
        }],
    })
}
