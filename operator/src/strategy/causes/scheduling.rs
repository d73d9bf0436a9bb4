//! What keeps pods without a node.

use super::text::before;
use crate::strategy::cause::Cause;

/// What to do about words that the scheduler has.
const FIXES: [(&str, &str); 7] = [
    ("Insufficient", "add nodes, or ask for less in spec.picker.resources.requests"),
    ("Too many pods", "add nodes"),
    ("affinity", "correct nodeSelector and affinity in spec.picker.podTemplate"),
    ("topology spread", "correct topologySpreadConstraints in spec.picker.podTemplate"),
    ("taint", "add a node without that taint, or tolerations in spec.picker.podTemplate"),
    ("were unschedulable", "uncordon a node, or add one"),
    ("no nodes available", "add nodes"),
];

/// What keeps pods without a node, by the condition `PodScheduled`; `None` before the scheduler looked.
pub(super) fn of(reason: &str, message: &str) -> Option<Cause> {
    if reason.is_empty() && message.is_empty() {
        return None;
    }
    if reason == "SchedulingGated" {
        let fix = "whoever set the gate has to lift it";
        return Some(
            Cause::new("SchedulingGated", "a scheduling gate holds the pods back", fix).detail(message),
        );
    }
    // What would come of preemption says the same again.
    let detail = before(message, " preemption:");
    let fix = FIXES.iter().find(|(words, _)| detail.contains(words));
    let fix = fix.map_or("see kubectl describe of the pods", |(_, fix)| fix);
    Some(Cause::new("Unschedulable", "no node takes the pods", fix).detail(detail))
}
