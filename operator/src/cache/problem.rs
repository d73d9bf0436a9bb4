//! The reason why a picker's pod is not ready, as the status of the pod tells it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube_ext::read_partial::decode;
use serde::Deserialize;

/// The longest text of others that is kept, in characters.
const LONGEST: usize = 512;

/// The reason why a pod is not ready. What changes with each attempt, such as the number of restarts, is left out, so
/// that a pod that fails again in the same way is equal to what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodProblem {
    /// When the pod was made, in seconds since 1970.
    pub created: i64,
    /// Since when it is unready in this way, in seconds since 1970; where its status does not tell, when it was made.
    pub since: i64,
    /// What it is.
    pub kind: ProblemKind,
}

/// What keeps a pod from being ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// It has no node: the reason (`Unschedulable`, `SchedulingGated`) and the words of the scheduler; both empty
    /// before it looked.
    Unscheduled {
        /// Reason of the condition `PodScheduled`.
        reason: String,
        /// Its message.
        message: String,
    },
    /// Volumes are mounted, the sandbox is made, or the image is pulled. Only Events tell what is in the way.
    Starting,
    /// A container does not start.
    Waiting {
        /// Name of the container.
        container: String,
        /// Its image.
        image: String,
        /// Why it waits, such as `ImagePullBackOff`.
        reason: String,
        /// The words of the kubelet.
        message: String,
    },
    /// A container ended, and ends again or waits to be started again.
    Ended {
        /// Name of the container.
        container: String,
        /// Its image.
        image: String,
        /// Exit code of its last end.
        exit_code: i32,
        /// Why it ended, such as `OOMKilled` or `Error`.
        reason: String,
        /// Its last words, or those of the container runtime.
        message: String,
    },
    /// The pod as a whole is over, such as `Evicted`.
    Failed {
        /// Reason in the status of the pod.
        reason: String,
        /// Its message.
        message: String,
    },
    /// All containers run, and one is not ready.
    NotReady,
}

#[derive(Deserialize)]
struct Text {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    creation_timestamp: Option<Time>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: String,
    reason: String,
    message: String,
    conditions: Vec<Condition>,
    init_container_statuses: Vec<Container>,
    container_statuses: Vec<Container>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    last_transition_time: Option<Time>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    name: String,
    image: String,
    ready: bool,
    /// Of a container that runs beside others from the start; otherwise whether it got that far.
    started: Option<bool>,
    state: State,
    last_state: State,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct State {
    waiting: Option<Waiting>,
    running: Option<Running>,
    terminated: Option<Terminated>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Running {
    started_at: Option<Time>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Waiting {
    reason: String,
    message: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Terminated {
    exit_code: i32,
    reason: String,
    message: String,
}

impl PodProblem {
    /// Reads why the pod of this text is not ready; `None` when that can't be read.
    pub(super) fn read(text: &str) -> Option<Self> {
        let Text { metadata, status } = decode(text).ok()?;
        let created = second(metadata.creation_timestamp.as_ref()).unwrap_or(0);
        let times = Times::of(&status);
        let kind = kind(status);
        let since = match kind {
            ProblemKind::Starting => times.scheduled,
            ProblemKind::NotReady => times.unready,
            _ => None,
        };
        Some(Self { created, since: since.unwrap_or(created), kind })
    }
}

/// When a pod came into its state, in seconds since 1970.
struct Times {
    scheduled: Option<i64>,
    unready: Option<i64>,
}

impl Times {
    fn of(status: &Status) -> Self {
        let changed = |kind: &str| {
            let condition = status.conditions.iter().find(|condition| condition.kind == kind)?;
            second(condition.last_transition_time.as_ref())
        };
        let running =
            status.container_statuses.iter().filter_map(|container| container.state.running.as_ref());
        // A pod is unready from its beginning, and of interest once its containers run.
        let started = running.filter_map(|running| second(running.started_at.as_ref())).max();
        Self { scheduled: changed("PodScheduled"), unready: changed("Ready").max(started) }
    }
}

fn second(time: Option<&Time>) -> Option<i64> {
    time.map(|time| time.0.as_second())
}

fn kind(status: Status) -> ProblemKind {
    if ["Failed", "Succeeded"].contains(&status.phase.as_str()) {
        let reason = if status.reason.is_empty() { status.phase } else { status.reason };
        return ProblemKind::Failed { reason: cut(&reason), message: cut(&status.message) };
    }
    let scheduled = status.conditions.iter().find(|condition| condition.kind == "PodScheduled");
    match scheduled {
        Some(condition) if condition.status == "True" => {}
        Some(Condition { reason, message, .. }) => {
            return ProblemKind::Unscheduled { reason: cut(reason), message: cut(message) };
        }
        None if status.container_statuses.is_empty() => {
            return ProblemKind::Unscheduled { reason: String::new(), message: String::new() };
        }
        None => {}
    }
    // Containers of the beginning come first: the others wait for them.
    let first = status.init_container_statuses.iter().find_map(|c| of_container(c, true));
    let then = || status.container_statuses.iter().find_map(|c| of_container(c, false));
    let starting = |c: &Container| c.state.running.is_none() && c.state.terminated.is_none();
    first.or_else(then).unwrap_or_else(|| {
        match status.container_statuses.is_empty() || status.container_statuses.iter().any(starting) {
            true => ProblemKind::Starting,
            false => ProblemKind::NotReady,
        }
    })
}

/// What is wrong with a container; `None` for one that is well, or on its way.
fn of_container(container: &Container, is_init: bool) -> Option<ProblemKind> {
    let Container { state, last_state, .. } = container;
    let is_over = state.terminated.as_ref().is_some_and(|end| end.exit_code == 0);
    if container.ready || is_init && (is_over || container.started == Some(true)) {
        return None;
    }
    let (name, image) = (cut(&container.name), cut(&container.image));
    if let Some(Waiting { reason, message }) = &state.waiting {
        if ["", "ContainerCreating", "PodInitializing"].contains(&reason.as_str()) {
            return None;
        }
        if reason != "CrashLoopBackOff" {
            let (reason, message) = (cut(reason), cut(message));
            return Some(ProblemKind::Waiting { container: name, image, reason, message });
        }
    }
    let end = state.terminated.as_ref().or(last_state.terminated.as_ref())?;
    let (reason, message) = (cut(&end.reason), cut(end.message.trim()));
    Some(ProblemKind::Ended { container: name, image, exit_code: end.exit_code, reason, message })
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests;
