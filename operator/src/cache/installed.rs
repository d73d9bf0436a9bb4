//! Watches of kinds that may not be installed: each runs while its CustomResourceDefinition is there.

use std::future::Future;

use futures::StreamExt as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::watch;

use super::partial_object::PartialObject;
use super::watch::{events, readable};

/// Watches the CustomResourceDefinition called `name`, and tells whether its kind is served in `version`, whenever that
/// changes. `None` until it is known.
pub(super) async fn watch_definition(
    client: Client,
    name: String,
    version: &str,
    installed: watch::Sender<Option<bool>>,
) {
    // Read as plain JSON: a definition's schema is large and of no interest.
    let api = Api::<PartialObject<DynamicObject>>::all_with(
        client,
        &ApiResource::erase::<CustomResourceDefinition>(&()),
    );
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let tell = |now: bool| {
        installed.send_if_modified(|known| known.replace(now) != Some(now));
    };
    let mut listed = false;
    let mut events = std::pin::pin!(readable(events(api, config)));
    while let Some(event) = events.next().await {
        match event {
            Event::Init => listed = false,
            Event::InitApply(definition) => listed = serves(&definition.data, version),
            Event::InitDone => tell(listed),
            Event::Apply(definition) => tell(serves(&definition.data, version)),
            Event::Delete(_) => tell(false),
        }
    }
}

fn serves(definition: &Value, version: &str) -> bool {
    let list = |path: &str| definition.pointer(path).and_then(Value::as_array).cloned().unwrap_or_default();
    list("/status/conditions").iter().any(|c| c["type"] == "Established" && c["status"] == "True")
        && list("/spec/versions").iter().any(|v| v["name"] == version && v["served"] == true)
}

/// Runs what `start` makes while the kind is installed, and calls `absent` when it is known not to be.
pub(super) async fn while_installed<F: Future<Output = ()>>(
    mut installed: watch::Receiver<Option<bool>>,
    start: impl Fn() -> F,
    absent: impl Fn(),
) {
    loop {
        let now = *installed.borrow_and_update();
        let changed = async { installed.changed().await.is_err() };
        let ended = if now == Some(true) {
            tokio::select! {
                () = start() => false,
                ended = changed => ended,
            }
        } else {
            if now == Some(false) {
                absent();
            }
            changed.await
        };
        if ended {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definition(established: &str, served: bool) -> Value {
        json!({
            "spec": {"versions": [{"name": "v1", "served": served}]},
            "status": {"conditions": [{"type": "Established", "status": established}]},
        })
    }

    #[test]
    fn a_kind_is_installed_when_its_version_is_served() {
        assert!(serves(&definition("True", true), "v1"));
        assert!(!serves(&definition("True", false), "v1"));
        assert!(!serves(&definition("False", true), "v1"));
        assert!(!serves(&definition("True", true), "v1alpha2"));
        assert!(!serves(&json!({}), "v1"));
    }
}
