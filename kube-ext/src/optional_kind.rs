//! Watches of kinds that may not be installed, or not yet: each runs while its CustomResourceDefinition is there.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::watcher::{Config, Event};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::partial_object::PartialObject;

/// Access to CustomResourceDefinitions as plain JSON, as their schemas are large and of no interest.
pub fn definitions(client: Client) -> Api<PartialObject<DynamicObject>> {
    Api::all_with(client, &ApiResource::erase::<CustomResourceDefinition>(&()))
}

/// The configuration of a watch of the one definition called `name`, such as
/// `inferencepools.inference.networking.k8s.io`.
pub fn by_name(name: &str) -> Config {
    Config::default().fields(&format!("metadata.name={name}"))
}

/// Tells `installed` whether the kind of a definition is served in `version`, whenever that changes. `events` are those
/// of the one definition. Ends with them.
pub async fn follow_definition(
    events: impl Stream<Item = Event<DynamicObject>>,
    version: &str,
    installed: &watch::Sender<Option<bool>>,
) {
    let tell = |now: bool| {
        installed.send_if_modified(|known| known.replace(now) != Some(now));
    };
    let mut listed = false;
    let mut events = pin!(events);
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

/// How often discovery is asked.
const ASKED_AGAIN: Duration = Duration::from_secs(30);

/// Tells `installed` whether the kind called `plural` is served in `group_version`, such as
/// `inference.networking.k8s.io/v1`, whenever that changes: for clients that may not read CustomResourceDefinitions.
/// Asks the API server's discovery every 30 s, which everybody may, and takes no answer for no news. Runs for ever.
pub async fn follow_discovery(
    client: Client,
    group_version: &str,
    plural: &str,
    installed: &watch::Sender<Option<bool>>,
) {
    loop {
        let now = match client.list_api_group_resources(group_version).await {
            Ok(list) => Some(list.resources.iter().any(|resource| resource.name == plural)),
            Err(kube::Error::Api(status)) if status.code == 404 => Some(false),
            Err(error) => {
                tracing::warn!(group_version, %error, "cannot ask what is installed; trying on");
                None
            }
        };
        if let Some(now) = now {
            installed.send_if_modified(|known| known.replace(now) != Some(now));
        }
        let unknown = installed.borrow().is_none();
        sleep(if unknown { Duration::from_secs(2) } else { ASKED_AGAIN }).await;
    }
}

fn serves(definition: &Value, version: &str) -> bool {
    let list = |path: &str| definition.pointer(path).and_then(Value::as_array).cloned().unwrap_or_default();
    list("/status/conditions").iter().any(|c| c["type"] == "Established" && c["status"] == "True")
        && list("/spec/versions").iter().any(|v| v["name"] == version && v["served"] == true)
}

/// Runs what `start` makes while the kind is installed, and calls `absent` when it is known not to be. Ends when the
/// sender of `installed` is gone; `None` is not known yet.
pub async fn while_installed<F: Future<Output = ()>>(
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
    use std::cell::RefCell;
    use std::future::pending;

    use futures::stream;
    use serde_json::json;

    use super::*;

    fn definition(established: &str, served: bool) -> DynamicObject {
        let definition = json!({
            "metadata": {"name": "things.example.com"},
            "spec": {"versions": [{"name": "v1", "served": served}]},
            "status": {"conditions": [{"type": "Established", "status": established}]},
        });
        serde_json::from_value(definition).unwrap()
    }

    #[test]
    fn a_kind_is_installed_when_its_version_is_served() {
        assert!(serves(&definition("True", true).data, "v1"));
        assert!(!serves(&definition("True", false).data, "v1"));
        assert!(!serves(&definition("False", true).data, "v1"));
        assert!(!serves(&definition("True", true).data, "v1alpha2"));
        assert!(!serves(&json!({}), "v1"));
    }

    #[tokio::test]
    async fn what_is_known_of_a_kind_follows_its_definition() {
        let installed = watch::Sender::new(None);
        let after = async |events: Vec<Event<DynamicObject>>| {
            follow_definition(stream::iter(events), "v1", &installed).await;
            *installed.borrow()
        };
        assert_eq!(after(vec![Event::Init]).await, None, "before the list is whole");
        assert_eq!(after(vec![Event::Init, Event::InitDone]).await, Some(false));
        assert_eq!(after(vec![Event::Apply(definition("False", true))]).await, Some(false));
        assert_eq!(after(vec![Event::Apply(definition("True", true))]).await, Some(true));
        assert_eq!(after(vec![Event::Delete(definition("True", true))]).await, Some(false));
        let listed = vec![Event::Init, Event::InitApply(definition("True", true)), Event::InitDone];
        assert_eq!(after(listed).await, Some(true));
    }

    #[tokio::test]
    async fn a_watch_runs_while_its_kind_is_installed() {
        let told = RefCell::new(Vec::new());
        let (installed, is_installed) = watch::channel(None);
        let start = || async {
            told.borrow_mut().push("started");
            pending::<()>().await;
        };
        let runs = while_installed(is_installed, start, || told.borrow_mut().push("absent"));
        let edits = async {
            for now in [Some(false), Some(true), None, Some(true)] {
                installed.send_replace(now);
                // Whichever of the two is polled first.
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
            }
            drop(installed);
        };
        tokio::join!(runs, edits);
        assert_eq!(*told.borrow(), ["absent", "started", "started"]);
    }
}
