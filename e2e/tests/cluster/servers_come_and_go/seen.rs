//! A watch of the model servers' pods by the test itself.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, Result};
use e2e::kubectl::is_ready;
use e2e::test_env::TestEnv;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt};
use tokio::task::JoinHandle;

use super::history::History;

/// A watch of pods; ends when the value is dropped.
pub struct Seen {
    history: Arc<Mutex<History>>,
    task: JoinHandle<()>,
}

impl Seen {
    /// Watches the pods that `selector` chooses; returns when those that there are have been noted.
    pub async fn follow(env: &TestEnv, selector: &str) -> Result<Self> {
        let api = Api::<Pod>::namespaced(env.kubectl().client().clone(), env.namespace());
        let mut events = watcher(api, watcher::Config::default().labels(selector)).boxed();
        let mut history = History::default();
        loop {
            match events.next().await.context("the watch ended")?.context("watching pods")? {
                Event::InitDone => break,
                event => note(&mut history, &event),
            }
        }
        history.begin();
        let history = Arc::new(Mutex::new(history));
        let noted = history.clone();
        let task = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                if let (Ok(event), Ok(mut history)) = (event, noted.lock()) {
                    note(&mut history, &event);
                }
            }
        });
        Ok(Self { history, task })
    }

    /// What was seen so far.
    pub fn so_far(&self) -> History {
        self.history.lock().map(|history| history.clone()).unwrap_or_default()
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn note(history: &mut History, event: &Event<Pod>) {
    let (pod, ready) = match event {
        Event::Apply(pod) | Event::InitApply(pod) => (pod, is_ready(pod)),
        Event::Delete(pod) => (pod, false),
        Event::Init | Event::InitDone => return,
    };
    let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref());
    history.note(Instant::now(), &pod.name_any(), address, ready);
}
