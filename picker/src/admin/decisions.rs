//! The page `/debug/decisions`: the last decisions that were kept.

use picker_core::trace::Step;
use serde_json::{Value, json};

use super::timestamp::timestamp;
use crate::decisions::{Decisions, Kept};

/// The page, the newest decision first.
pub(super) fn page(decisions: &Decisions) -> Value {
    let all: Vec<_> = decisions.kept().iter().map(|kept| decision(kept)).collect();
    json!({"decisions": all})
}

fn decision(kept: &Kept) -> Value {
    let name = |i: &usize| kept.endpoints.get(*i).map(|endpoint| endpoint.name.as_str());
    let names = |positions: &[usize]| -> Value { positions.iter().map(name).collect() };
    let step = |step: &Step| match step {
        Step::Screened { plugin, left } => json!({"screener": plugin, "left": names(left)}),
        Step::Profile(profile) => json!({"profile": profile}),
        Step::Avoided { endpoints, applied } => json!({"failing": names(endpoints), "leftOut": applied}),
        Step::Filtered { plugin, left } => json!({"filter": plugin, "left": names(left)}),
        Step::Scored { plugin, weight, scores } => {
            let score = |(i, score): &(usize, f32)| json!({"endpoint": name(i), "score": score});
            json!({"scorer": plugin, "weight": weight, "scores": scores.iter().map(score).collect::<Vec<_>>()})
        }
        Step::Picked { plugin, picked } => json!({"picker": plugin, "picked": names(picked)}),
    };
    json!({
        "at": timestamp(kept.at),
        "tookMicroseconds": kept.took.as_nanos() as f64 / 1000.0,
        "requestId": kept.request_id,
        "model": kept.model,
        "revision": *kept.revision,
        "endpoint": kept.outcome.as_ref().ok().and_then(name),
        "refused": kept.outcome.err(),
        "steps": kept.steps.iter().map(step).collect::<Vec<_>>(),
    })
}
