//! A report of a namespace's pods and events, for error messages.

use std::fmt::Write;

use k8s_openapi::api::core::v1::{ContainerState, Event, Pod};
use kube::ResourceExt;
use kube::api::{Api, ListParams, LogParams};

use super::Kubectl;
use super::pods::{is_ready, restarts};

impl Kubectl {
    /// The namespace's pods, its latest events that warn, and the last lines of every pod that is not ready.
    pub async fn report(&self, namespace: &str) -> String {
        let mut text = format!("namespace {namespace}:\n");
        let pods = match self.pods(namespace, "").await {
            Ok(pods) => pods,
            Err(error) => return text + &format!("{error:#}"),
        };
        for pod in &pods {
            // Writing to a String never fails.
            let _ = writeln!(text, "  {}", line(pod));
        }
        let events = Api::<Event>::namespaced(self.client().clone(), namespace);
        let mut events = events.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default();
        events.retain(|event| event.type_.as_deref() != Some("Normal"));
        events.sort_by_key(|event| event.last_timestamp.clone());
        for event in events.iter().rev().take(10) {
            let object = &event.involved_object;
            let (kind, name) = (object.kind.as_deref().unwrap_or("?"), object.name.as_deref().unwrap_or("?"));
            let (reason, message) =
                (event.reason.as_deref().unwrap_or(""), event.message.as_deref().unwrap_or(""));
            let _ = writeln!(text, "  {kind} {name}: {reason}: {message}");
        }
        for pod in pods.iter().filter(|pod| !is_ready(pod)).take(3) {
            let _ = writeln!(
                text,
                "  the last words of {}:\n{}",
                pod.name_any(),
                self.last_words(namespace, pod).await
            );
        }
        text
    }

    async fn last_words(&self, namespace: &str, pod: &Pod) -> String {
        let api = Api::<Pod>::namespaced(self.client().clone(), namespace);
        let params = LogParams { tail_lines: Some(20), ..LogParams::default() };
        let now = api.logs(&pod.name_any(), &params).await.unwrap_or_else(|error| error.to_string());
        if restarts(pod) == 0 {
            return now;
        }
        let before =
            api.logs(&pod.name_any(), &LogParams { previous: true, ..params }).await.unwrap_or_default();
        format!("{before}\n--- started again ---\n{now}")
    }
}

fn line(pod: &Pod) -> String {
    let status = pod.status.clone().unwrap_or_default();
    let phase = status.phase.as_deref().unwrap_or("?");
    let ready = if is_ready(pod) { "ready" } else { "not ready" };
    let containers =
        status.container_statuses.iter().flatten().chain(status.init_container_statuses.iter().flatten());
    let states: Vec<String> = containers.filter_map(|container| trouble(container.state.as_ref()?)).collect();
    let conditions =
        status.conditions.iter().flatten().filter(|c| c.type_ == "PodScheduled" && c.status != "True");
    let unscheduled: Vec<&str> = conditions.filter_map(|condition| condition.message.as_deref()).collect();
    let restarts = restarts(pod);
    format!(
        "{}: {phase}, {ready}, {restarts} restarts {} {}",
        pod.name_any(),
        states.join(" "),
        unscheduled.join(" ")
    )
}

fn trouble(state: &ContainerState) -> Option<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    if let Some(waiting) = &state.waiting {
        return Some(format!("{}: {}", text(&waiting.reason), text(&waiting.message)));
    }
    let ended = state.terminated.as_ref()?;
    Some(format!("{} with {}: {}", text(&ended.reason), ended.exit_code, text(&ended.message)))
}
