//! What the status of a pod says of what keeps it from being ready.

use k8s_openapi::api::core::v1::ResourceRequirements;

use super::text::{after, before, steady};
use super::{image, scheduling};
use crate::cache::ProblemKind;
use crate::strategy::cause::Cause;
use crate::strategy::snapshot::Snapshot;

/// What the status of a pod says; `None` when it says nothing of a cause.
pub(super) fn of(snapshot: &Snapshot, kind: &ProblemKind) -> Option<Cause> {
    match kind {
        ProblemKind::Unscheduled { reason, message } => scheduling::of(reason, message),
        ProblemKind::Starting | ProblemKind::NotReady => None,
        ProblemKind::Waiting { container, image, reason, message } => {
            Some(waiting(snapshot, container, image, reason, message))
        }
        ProblemKind::Ended { container, exit_code, reason, message, .. } => {
            Some(ended(snapshot, container, *exit_code, reason, message))
        }
        ProblemKind::Failed { reason, message } => {
            let what = format!("a node has put an end to the pods ({reason})");
            Some(Cause::new("PodFailed", what, "see the node, and spec.picker.resources").detail(message))
        }
    }
}

fn waiting(snapshot: &Snapshot, container: &str, image: &str, reason: &str, message: &str) -> Cause {
    if let Some(cause) = image::of(snapshot, container, image, reason, message) {
        return cause;
    }
    let who = who(container);
    match reason {
        "CreateContainerConfigError" => {
            let fix = match message {
                m if m.contains("runAsNonRoot") => "use an image that does not run as root",
                m if m.contains("not found") || m.contains("find key") => {
                    "make it, or correct spec.picker.podTemplate"
                }
                _ => "correct spec.picker.podTemplate",
            };
            // Behind that are the names of this very pod.
            Cause::new("CreateContainerConfigError", format!("{who} can't be configured"), fix)
                .detail(before(message, " (pod:"))
        }
        "CreateContainerError" | "RunContainerError" | "PostStartHookError" => {
            not_started(container, message)
        }
        other => {
            let fix = "see kubectl describe of the pods";
            Cause::new("ContainerWaiting", format!("{who} waits ({other})"), fix).detail(&steady(message))
        }
    }
}

fn ended(snapshot: &Snapshot, container: &str, exit_code: i32, reason: &str, message: &str) -> Cause {
    let who = who(container);
    match reason {
        "StartError" | "ContainerCannotRun" => not_started(container, message),
        "OOMKilled" => {
            let what = format!("{who} was killed for want of memory (OOMKilled, exit code {exit_code})");
            let fix = match container {
                "picker" => {
                    let limit = memory(snapshot.strategy.spec.picker.resources.as_ref());
                    format!("raise spec.picker.resources.limits.memory ({limit})")
                }
                _ => "raise its limit of memory".to_owned(),
            };
            Cause::new("OOMKilled", what, fix)
        }
        _ => {
            let what = format!("{who} ended with exit code {exit_code}");
            let last = message.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            Cause::new("CrashLoopBackOff", what, "see kubectl logs --previous of the pods").detail(last)
        }
    }
}

fn not_started(container: &str, message: &str) -> Cause {
    let detail = after(after(message, "desc = "), "unable to start container process: ");
    let detail = steady(detail.strip_suffix(": unknown").unwrap_or(detail));
    let fix = match container {
        "picker" => "is the image one of a picker, for this kind of node?",
        _ => "see who adds this container to the pods",
    };
    Cause::new("RunContainerError", format!("{} can't be started", who(container)), fix).detail(&detail)
}

fn who(container: &str) -> String {
    if container == "picker" { "the picker".to_owned() } else { format!("container {container}") }
}

/// The limit of memory, as somebody would look for it.
fn memory(resources: Option<&ResourceRequirements>) -> String {
    match resources {
        None => format!("now {}", crate::build::DEFAULT_MEMORY),
        Some(given) => match given.limits.as_ref().and_then(|limits| limits.get("memory")) {
            Some(limit) => format!("now {}", limit.0),
            None => "none is set: see the LimitRange, and the memory of the node".to_owned(),
        },
    }
}
