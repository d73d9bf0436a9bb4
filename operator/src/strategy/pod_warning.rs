//! The latest warning among the Events of a pod: the one thing that its status does not tell while its volumes are
//! mounted, its sandbox is made, or its readiness is probed.

use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;

/// What the kubelet says every two minutes instead of the error: which volumes are missing.
const SUMMARY_OF_MOUNTS: &str = "Unable to attach or mount volumes";
/// The longest note that is kept, in characters.
const LONGEST: usize = 512;

/// A warning about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodWarning {
    /// Such as `FailedMount`.
    pub reason: String,
    pub note: String,
}

impl PodWarning {
    /// The warning that is the newest of all `events` of a pod; `None` when something normal is newer, such as the pull
    /// of the image, since the pod got over it.
    pub fn newest(events: &[Event]) -> Option<Self> {
        let is_warning = |event: &Event| event.type_.as_deref() == Some("Warning");
        let note = |event: &Event| event.note.clone().unwrap_or_default();
        let is_summary = |event: &Event| note(event).starts_with(SUMMARY_OF_MOUNTS);
        let explained =
            events.iter().any(|event| event.reason.as_deref() == Some("FailedMount") && !is_summary(event));
        let newest = events
            .iter()
            .filter(|event| !(explained && is_summary(event)))
            // Events of the kubelet have whole seconds, others have not.
            .max_by_key(|event| (last_seen(event).as_second(), is_warning(event)))
            .filter(|event| is_warning(event))?;
        let note = note(newest).chars().take(LONGEST).collect();
        Some(Self { reason: newest.reason.clone().unwrap_or_default(), note })
    }
}

/// When it was seen last, however its writer says that.
fn last_seen(event: &Event) -> Timestamp {
    let of_series = event.series.as_ref().map(|series| series.last_observed_time.0);
    let of_core = event.deprecated_last_timestamp.as_ref().map(|time| time.0);
    let first = event.event_time.as_ref().map(|time| time.0);
    let stored = event.metadata.creation_timestamp.as_ref().map(|time| time.0);
    of_series.or(of_core).or(first).or(stored).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(kind: &str, reason: &str, note: &str, when: Value) -> Event {
        let mut event = json!({"metadata": {"name": "a"}, "type": kind, "reason": reason, "note": note});
        event.as_object_mut().unwrap().extend(when.as_object().unwrap().clone());
        serde_json::from_value(event).unwrap()
    }

    fn kubelet(kind: &str, reason: &str, note: &str, second: u8) -> Event {
        let at = format!("2026-01-01T00:00:{second:02}Z");
        event(kind, reason, note, json!({"eventTime": null, "deprecatedLastTimestamp": at}))
    }

    fn mount(note: &str, second: u8) -> Event {
        kubelet("Warning", "FailedMount", note, second)
    }

    fn newest(events: &[Event]) -> Option<String> {
        PodWarning::newest(events).map(|warning| warning.note)
    }

    #[test]
    fn the_newest_counts_and_only_if_it_is_a_warning() {
        assert_eq!(newest(&[]), None);
        let scheduled =
            event("Normal", "Scheduled", "assigned", json!({"eventTime": "2026-01-01T00:00:05.700000Z"}));
        // Of one second the warning is the later one.
        let failed = mount("no secret", 5);
        assert_eq!(newest(&[failed.clone(), scheduled.clone()]), Some("no secret".to_owned()));
        let pulling = kubelet("Normal", "Pulling", "pulling image", 9);
        assert_eq!(newest(&[failed, scheduled, pulling]), None);
    }

    #[test]
    fn an_error_goes_before_the_summary_of_it() {
        let summary = mount("Unable to attach or mount volumes: unmounted volumes=[tls]: timed out", 50);
        let events = [mount("no secret", 5), summary];
        assert_eq!(newest(&events), Some("no secret".to_owned()));
        assert!(newest(&events[1..]).unwrap().starts_with("Unable"));
    }

    #[test]
    fn a_series_counts_by_its_last_time() {
        let series = json!({"eventTime": "2026-01-01T00:00:01.000000Z",
            "series": {"count": 4, "lastObservedTime": "2026-01-01T00:00:30.000000Z"}});
        let events =
            [event("Warning", "Unhealthy", "probe failed", series), kubelet("Normal", "Started", "", 9)];
        assert_eq!(newest(&events), Some("probe failed".to_owned()));
    }
}
