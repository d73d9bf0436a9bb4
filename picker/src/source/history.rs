//! The routings that the operator accepted last, which it keeps in ten ControllerRevisions.

use crds::history::{routing, slots};
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::{Api, Client};
use picker_core::config::revision;
use serde_json::Value;

/// The stored routing of revision `wanted`, looked for in the slots of `strategy`, each read by name: that
/// is all that a picker may do with ControllerRevisions.
///
/// # Errors
/// When the API server doesn't answer, or refuses.
pub async fn find(
    client: &Client,
    namespace: &str,
    strategy: &str,
    wanted: &str,
) -> Result<Option<Value>, kube::Error> {
    let api: Api<ControllerRevision> = Api::namespaced(client.clone(), namespace);
    for name in slots(strategy) {
        let slot = match api.get_opt(&name).await {
            // Somebody else's, or nested too deep: not what was accepted, and no reason to pass over the rest.
            Err(kube::Error::SerdeError(_)) => continue,
            slot => slot?,
        };
        let body = slot.as_ref().and_then(routing);
        if let Some(body) = body.filter(|body| revision(&body.0) == wanted) {
            return Ok(Some(body.0));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::deep_json::deep;
    use crate::fake_api::{self, Answer};

    #[tokio::test]
    async fn the_slot_of_the_revision_is_found_by_name() {
        let routing = json!({"plugins": [{"type": "queue-scorer"}]});
        let (wanted, stored) = (revision(&routing), routing.clone());
        let label = wanted.clone();
        let (client, log) = fake_api::client(move |asked| match asked.what.rsplit('/').next() {
            Some("chat-routing-0") => Answer::Object(json!({
                "metadata": {"name": "chat-routing-0"}, "revision": 1, "data": deep(),
            })),
            Some("chat-routing-1") => Answer::Object(json!({
                "metadata": {"name": "chat-routing-1", "labels": {crds::history::REVISION_LABEL: "other"}},
                "revision": 1, "data": stored,
            })),
            Some("chat-routing-2") => Answer::Object(json!({
                "metadata": {"name": "chat-routing-2", "labels": {crds::history::REVISION_LABEL: label}},
                "revision": 2, "data": stored,
            })),
            _ => Answer::Error(404),
        });
        assert_eq!(find(&client, "llm", "chat", &wanted).await.unwrap(), Some(routing));
        let asked: Vec<_> = log.lock().unwrap().iter().map(|asked| asked.what.clone()).collect();
        let slot = |n| format!("GET /apis/apps/v1/namespaces/llm/controllerrevisions/chat-routing-{n}");
        assert_eq!(asked, [slot(0), slot(1), slot(2)]);
        assert_eq!(find(&client, "llm", "chat", "0123456789abcdef").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_an_error() {
        let (client, _) = fake_api::client(|_| Answer::Error(503));
        assert!(find(&client, "llm", "chat", "r").await.is_err());
    }
}
