//! A decision as JSON.

use std::time::Duration;

use picker_core::inputs::Input;
use picker_core::trace::{Edited, Removed, Step};
use serde_json::{Map, Value, json};

use super::{Kept, Places};

/// All that is known of a decision; endpoints by their names. `at` is its time as text.
pub fn page(kept: &Kept, at: Option<&str>) -> Value {
    let places = &*kept.places;
    let mut steps = Vec::with_capacity(kept.steps.len());
    let mut ran = Vec::new();
    for (n, step) in kept.steps.iter().enumerate() {
        if let Step::Profile(name) = step {
            ran.push(&**name);
        }
        let mut page = of_step(step, places, &ran);
        if let Some(took) = kept.step_took.get(n).filter(|took| !took.is_zero()) {
            page["tookMicroseconds"] = micros(*took);
        }
        steps.push(page);
    }
    let chosen = kept.outcome.ok();
    json!({
        "at": at,
        "tookMicroseconds": micros(kept.took),
        "requestId": kept.request_id,
        "model": kept.model,
        "revision": *kept.revision,
        "endpoint": chosen.and_then(|i| places.name(i)),
        "address": chosen.and_then(|i| places.address(i)).map(|address| address.to_string()),
        "refused": kept.outcome.err(),
        "candidates": names(&kept.candidates, places),
        "steps": steps,
    })
}

fn of_step(step: &Step, places: &Places, ran: &[&str]) -> Value {
    let name = |i: u32| places.name(i);
    match step {
        Step::Screened { plugin, left, removed } => json!({
            "screener": **plugin,
            "remaining": names(left, places),
            "removed": of_removed(removed, &[], 0, places),
        }),
        Step::Produced(plugin) => json!({"producer": **plugin}),
        Step::Admitted(plugin) => json!({"admitter": **plugin}),
        Step::Profile(profile) => json!({"profile": **profile}),
        Step::Avoided { endpoints, applied } => {
            json!({"ejected": names(endpoints, places), "applied": applied})
        }
        Step::Filtered { plugin, left, removed, inputs } => json!({
            "filter": **plugin,
            "remaining": names(left, places),
            "removed": of_removed(removed, inputs, left.len(), places),
        }),
        Step::Scored { plugin, weight, scores, inputs } => {
            let score = |(n, (i, score)): (usize, &(u32, f32))| {
                let mut page = json!({"endpoint": name(*i), "score": number(*score)});
                add_inputs(&mut page, inputs, n);
                page
            };
            let scores: Value = scores.iter().enumerate().map(score).collect();
            json!({"scorer": **plugin, "weight": number(*weight), "scores": scores})
        }
        Step::Picked { plugin, picked, totals, ties } => {
            let total = |(i, total): &(u32, f32)| json!({"endpoint": name(*i), "total": number(*total)});
            json!({
                "picker": **plugin,
                "picked": names(picked, places),
                "totals": totals.iter().map(total).collect::<Value>(),
                "ties": names(ties, places),
            })
        }
        Step::Launched { primary, edits } => {
            json!({"destination": ran.get(*primary), "edits": of_edits(edits)})
        }
    }
}

/// Each endpoint that was removed, with why and with what was read of it: that of the first one is the number at `from`.
fn of_removed(removed: &[Removed], inputs: &[Input], from: usize, places: &Places) -> Value {
    let each = removed.iter().flat_map(|one| one.endpoints.iter().map(|i| (*i, one.why.as_deref())));
    let page = |(n, (i, why)): (usize, (u32, Option<&str>))| {
        let mut page = json!({"endpoint": places.name(i)});
        if let Some(why) = why {
            page["why"] = why.into();
        }
        add_inputs(&mut page, inputs, from + n);
        page
    };
    each.enumerate().map(page).collect()
}

fn add_inputs(page: &mut Value, inputs: &[Input], n: usize) {
    if !inputs.is_empty() {
        let all = inputs.iter().map(|input| (input.name.to_string(), number(input.value(n))));
        page["inputs"] = Value::Object(all.collect::<Map<_, _>>());
    }
}

fn of_edits(edits: &Edited) -> Value {
    let mut page = Map::new();
    if let Some(destination) = &edits.destination {
        page.insert("destination".to_owned(), destination.as_str().into());
    }
    if !edits.headers.is_empty() {
        let headers = edits.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
        page.insert("headers".to_owned(), Value::Object(headers.collect()));
    }
    if !edits.removed.is_empty() {
        page.insert("removedHeaders".to_owned(), edits.removed.clone().into());
    }
    if edits.splices > 0 {
        page.insert("bodyParts".to_owned(), edits.splices.into());
    }
    if !edits.metadata.is_empty() {
        let entry = |(namespace, key, value): &(String, String, String)| json!({"namespace": namespace, "key": key, "value": value});
        page.insert("metadata".to_owned(), edits.metadata.iter().map(entry).collect());
    }
    if edits.clears_route {
        page.insert("clearsRoute".to_owned(), true.into());
    }
    page.into()
}

fn names(positions: &[u32], places: &Places) -> Value {
    positions.iter().map(|i| places.name(*i)).collect()
}

/// The number with the digits that it has as a single; null where it is none.
pub(super) fn number(value: f32) -> Value {
    let digits: Option<f64> = value.to_string().parse().ok();
    digits.filter(|value| value.is_finite()).map_or(Value::Null, Value::from)
}

fn micros(time: Duration) -> Value {
    (time.as_nanos() as f64 / 1000.0).into()
}
