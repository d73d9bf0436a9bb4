//! What the latest warning about a pod says where the status of the pod says nothing.

use crds::{ClientCa, Tls};

use super::text::{before, quoted, steady};
use crate::cache::{PodFacts, ProblemKind};
use crate::strategy::cause::Cause;
use crate::strategy::outcome::Outcome;
use crate::strategy::pod_warning::PodWarning;
use crate::strategy::snapshot::Snapshot;

/// What the Events of a pod say, if they were asked for; `None` when they say nothing.
pub(super) fn of(
    snapshot: &Snapshot,
    outcome: &Outcome,
    pod: &PodFacts,
    kind: &ProblemKind,
) -> Option<Cause> {
    let warning = outcome.warnings.get(&pod.name)?.as_ref();
    match (kind, warning) {
        (ProblemKind::NotReady, warning) => {
            let status = snapshot.strategy.status.as_ref();
            let own = status.and_then(|status| status.pickers.get(&pod.name)?.error.clone());
            let probe = || warning.filter(|w| w.reason == "Unhealthy").map(|w| w.note.clone());
            let said = own.or_else(probe).unwrap_or_default();
            let said = said.strip_prefix("Readiness probe failed: ").unwrap_or(&said);
            let fix = "its log says what it waits for";
            Some(Cause::new("NotReady", "the picker runs and is not ready", fix).detail(&steady(said)))
        }
        (ProblemKind::Unscheduled { .. }, None) => {
            let fix = "is one running, and schedulerName of spec.picker.podTemplate its name?";
            Some(Cause::new("Unschedulable", "no scheduler has looked at the pods yet", fix))
        }
        (_, Some(warning)) => Some(started(snapshot, warning)),
        (_, None) => None,
    }
}

/// What keeps a pod with a node from its containers.
fn started(snapshot: &Snapshot, warning: &PodWarning) -> Cause {
    let note = &warning.note;
    match warning.reason.as_str() {
        "FailedMount" | "FailedAttachVolume" | "FailedMapVolume" => {
            mount(&snapshot.strategy.spec.picker.tls, note)
        }
        "FailedCreatePodSandBox" | "NetworkNotReady" => {
            let detail = steady(note.strip_prefix("Failed to create pod sandbox: ").unwrap_or(note));
            let fix = "see the node's network plugin and container runtime";
            Cause::new("FailedCreatePodSandBox", "the pods get no sandbox", fix).detail(&detail)
        }
        _ => {
            let fix = "see kubectl describe of the pods";
            Cause::new("PodNotStarted", "the pods do not start", fix).detail(&steady(note))
        }
    }
}

/// What keeps a volume from being mounted: of those that the operator adds, what is missing, and which field names it.
fn mount(tls: &Tls, note: &str) -> Cause {
    let named = match (quoted(note, "for volume "), &tls.client_ca) {
        (Some("tls"), _) => tls
            .secret_name
            .as_deref()
            .map(|name| (format!("Secret {name}"), "spec.picker.tls.secretName", "tls.crt and tls.key")),
        (Some("client-ca"), Some(ClientCa { config_map_name: Some(name), .. })) => {
            Some((format!("ConfigMap {name}"), "spec.picker.tls.clientCA.configMapName", "ca.crt"))
        }
        (Some("client-ca"), Some(ClientCa { secret_name: Some(name), .. })) => {
            Some((format!("Secret {name}"), "spec.picker.tls.clientCA.secretName", "ca.crt"))
        }
        _ => None,
    };
    let error = note.split_once(" : ").map_or(note, |(_, error)| error);
    match named {
        Some((object, field, keys)) if error.contains("not found") || error.contains("not registered") => {
            let fix = format!("make it in this namespace, with {keys}");
            Cause::new("FailedMount", format!("{object} of {field} is not there"), fix)
        }
        Some((object, field, keys)) if error.contains("non-existent") => {
            let key = before(error.rsplit(": ").next().unwrap_or_default(), ",").to_owned();
            let fix = format!("it has to have {keys}");
            Cause::new("FailedMount", format!("{object} of {field} has no key {key}"), fix)
        }
        _ => {
            let fix = "see kubectl describe of the pods";
            Cause::new("FailedMount", "a volume can't be mounted", fix).detail(&steady(note))
        }
    }
}
