//! Fake pickers of a namespace: their pods, which no scheduler takes, are marked Ready at once, and each reports in the
//! status of its strategy that it serves the current revision. All have the address of this machine, where connections to
//! pickers are taken, and each an EndpointSlice, which its controller makes for no pod without a node, so that their
//! Services can be reached.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;

use crate::Kubectl;
use crate::cluster::network::BRIDGE_ADDRESS;
use crate::envoy::PICKER_PORT;
use crate::kubectl::is_ready;

/// The label of a picker's pod with the name of its strategy.
const STRATEGY: &str = "waypost.dev/strategy";
/// Time before a failed watch or write is tried again.
const AGAIN: Duration = Duration::from_millis(200);

/// Fakes pickers until dropped.
#[derive(Debug)]
pub struct FakePickers {
    _task: JoinSet<()>,
}

impl FakePickers {
    /// A `spec.picker.podTemplate` for pods that are left to the fake pickers.
    pub fn pod_template() -> Value {
        json!({"spec": {"schedulerName": "fake-pickers"}})
    }

    /// Fakes the pickers of `namespace`.
    ///
    /// # Errors
    /// When the API server does not know RoutingStrategies.
    pub async fn start(kubectl: &Kubectl, namespace: &str) -> Result<Self> {
        let pods = Api::<Pod>::namespaced(kubectl.client().clone(), namespace);
        let strategies = kubectl.api("waypost.dev/v1alpha1", "RoutingStrategy", namespace).await?;
        let mut task = JoinSet::new();
        task.spawn(take_connections(listener()?));
        let slices = Api::namespaced(kubectl.client().clone(), namespace);
        task.spawn(Fake { pods, slices, strategies, seen: Seen::default() }.run());
        Ok(Self { _task: task })
    }
}

/// Fake pickers of several namespaces share the port.
fn listener() -> Result<TcpListener> {
    let listening = || {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
        let address: std::net::Ipv4Addr = BRIDGE_ADDRESS.parse().map_err(std::io::Error::other)?;
        socket.bind((address, PICKER_PORT).into())?;
        socket.listen(1024)
    };
    listening().with_context(|| format!("taking connections at {BRIDGE_ADDRESS}:{PICKER_PORT}"))
}

/// Takes connections, and ends each.
async fn take_connections(listener: TcpListener) {
    loop {
        // What comes of one is its own affair.
        drop(listener.accept().await);
    }
}

enum Change {
    Pod(Box<Event<Pod>>),
    Strategy(Box<Event<DynamicObject>>),
    Again,
}

struct Fake {
    pods: Api<Pod>,
    slices: Api<EndpointSlice>,
    strategies: Api<DynamicObject>,
    seen: Seen,
}

#[derive(Default)]
struct Seen {
    /// Each pod, and whether it is ready.
    pods: BTreeMap<String, (Pod, bool)>,
    strategies: BTreeMap<String, DynamicObject>,
    /// What each pod has said last of what it serves.
    said: BTreeMap<String, Value>,
}

impl Fake {
    async fn run(mut self) {
        let mut changes = stream::select(
            self.pod_events().map(|event| Change::Pod(Box::new(event))).boxed(),
            self.strategy_events().map(|event| Change::Strategy(Box::new(event))).boxed(),
        );
        let mut failed = false;
        loop {
            let change = tokio::select! {
                Some(change) = changes.next() => change,
                () = tokio::time::sleep(AGAIN), if failed => Change::Again,
            };
            self.seen.note(change);
            failed = self.patch().await.is_err();
        }
    }

    fn pod_events(&self) -> impl Stream<Item = Event<Pod>> + use<> {
        let pickers = watcher::Config::default().labels(STRATEGY);
        watcher(self.pods.clone(), pickers).filter_map(async |event| event.ok())
    }

    fn strategy_events(&self) -> impl Stream<Item = Event<DynamicObject>> + use<> {
        watcher(self.strategies.clone(), watcher::Config::default()).filter_map(async |event| event.ok())
    }

    async fn patch(&mut self) -> kube::Result<()> {
        let params = PatchParams::default();
        for (name, (pod, ready)) in self.seen.pods.iter_mut().filter(|(_, (_, ready))| !ready) {
            let condition =
                json!({"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"});
            let (ip, ips) = (BRIDGE_ADDRESS, [json!({"ip": BRIDGE_ADDRESS})]);
            let status = json!({"status": {"phase": "Running", "conditions": [condition], "podIP": ip, "podIPs": ips}});
            match self.pods.patch_status(name, &params, &Patch::Merge(&status)).await {
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                outcome => drop(outcome?),
            }
            if let Some(slice) = slice(pod) {
                match self.slices.create(&PostParams::default(), &slice).await {
                    Err(kube::Error::Api(status)) if status.is_already_exists() => {}
                    outcome => drop(outcome?),
                }
            }
            *ready = true;
        }
        for (pod, strategy, entry) in self.seen.unsaid() {
            let status = json!({"status": {"pickers": {&pod: entry}}});
            match self.strategies.patch_status(&strategy, &params, &Patch::Merge(&status)).await {
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                outcome => drop(outcome?),
            }
            self.seen.said.insert(pod, entry);
        }
        Ok(())
    }
}

/// The address of a pod for the Service of its Deployment's name. It goes with the pod.
fn slice(pod: &Pod) -> Option<EndpointSlice> {
    let (name, uid) = (pod.name_any(), pod.uid()?);
    let (deployment, _) = name.rsplit_once('-')?.0.rsplit_once('-')?;
    let mut labels = pod.labels().clone();
    labels.insert("kubernetes.io/service-name".to_owned(), deployment.to_owned());
    labels.insert("endpointslice.kubernetes.io/managed-by".to_owned(), "fake-pickers".to_owned());
    let slice = json!({
        "metadata": {
            "name": name,
            "labels": labels,
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}],
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [BRIDGE_ADDRESS], "conditions": {"ready": true}}],
        "ports": [{"name": "ext-proc", "port": PICKER_PORT}],
    });
    serde_json::from_value(slice).ok()
}

impl Seen {
    fn note(&mut self, change: Change) {
        match change {
            Change::Pod(event) => self.note_pod(*event),
            Change::Strategy(event) => self.note_strategy(*event),
            Change::Again => {}
        }
    }

    fn note_pod(&mut self, event: Event<Pod>) {
        match event {
            Event::Apply(pod) | Event::InitApply(pod) => {
                let ready = is_ready(&pod);
                self.pods.insert(pod.name_any(), (pod, ready));
            }
            Event::Delete(pod) => {
                self.pods.remove(&pod.name_any());
                self.said.remove(&pod.name_any());
            }
            Event::Init | Event::InitDone => {}
        }
    }

    fn note_strategy(&mut self, event: Event<DynamicObject>) {
        match event {
            Event::Apply(strategy) | Event::InitApply(strategy) => {
                self.strategies.insert(strategy.name_any(), strategy);
            }
            Event::Delete(strategy) => {
                self.strategies.remove(&strategy.name_any());
            }
            Event::Init | Event::InitDone => {}
        }
    }

    /// Pod, strategy and what the pod has to say of it.
    fn unsaid(&self) -> Vec<(String, String, Value)> {
        let entries = self.pods.iter().filter_map(|(pod, (object, _))| {
            let strategy = object.labels().get(STRATEGY)?;
            let object = self.strategies.get(strategy)?;
            let revision = object.data["status"]["revision"].as_str()?;
            let entry = json!({"revision": revision, "generation": object.metadata.generation, "version": "fake-pickers"});
            Some((pod.clone(), strategy.clone(), entry))
        });
        entries.filter(|(pod, _, entry)| self.said.get(pod) != Some(entry)).collect()
    }
}
