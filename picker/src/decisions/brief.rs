//! A decision in few bytes, for headers and metadata.

use picker_core::View;
use picker_core::trace::{Explain, Step};
use serde_json::{Map, Value, json};

use super::page::number;

/// The most bytes of it.
const MAX_BRIEF: usize = 4096;

/// How many endpoints of each profile it has at most. It has fewer where these are too long.
const MOST: usize = 8;

/// What `explain` says of a decision, as JSON in ASCII of at most 4 KiB: of each profile the endpoint that was picked, and
/// those with the nearest totals. It has nothing of the request.
pub fn brief(explain: &Explain, revision: &str, view: &View) -> String {
    let mut most = MOST;
    loop {
        let text = ascii(&page(explain, revision, view, most).to_string());
        if text.len() <= MAX_BRIEF {
            return text;
        }
        if most == 0 {
            return json!({"revision": revision, "truncated": true}).to_string();
        }
        most /= 2;
    }
}

fn page(explain: &Explain, revision: &str, view: &View, most: usize) -> Value {
    let mut profiles = explain.steps.split(|step| matches!(step, Step::Profile(_)));
    // What comes before the first of them.
    profiles.next();
    let names = explain.steps.iter().filter_map(|step| match step {
        Step::Profile(name) => Some(&**name),
        _ => None,
    });
    let profiles: Value = names.zip(profiles).map(|(name, steps)| profile(name, steps, view, most)).collect();
    json!({"revision": revision, "profiles": profiles})
}

fn profile(profile: &str, steps: &[Step], view: &View, most: usize) -> Value {
    let name = |i: u32| view.endpoints.get(i as usize).map(|endpoint| endpoint.name.as_str());
    let (mut removed, mut weights, mut page) = (Map::new(), Map::new(), json!({"profile": profile}));
    for step in steps {
        match step {
            Step::Filtered { plugin, removed: gone, .. } => {
                let count: usize = gone.iter().map(|removed| removed.endpoints.len()).sum();
                removed.insert(plugin.to_string(), count.into());
            }
            Step::Scored { plugin, weight, .. } => {
                weights.insert(plugin.to_string(), number(*weight));
            }
            Step::Picked { plugin, picked, totals, ties } => {
                page["picker"] = (**plugin).into();
                page["picked"] = picked.iter().take(MOST).map(|i| name(*i)).collect();
                page["candidates"] = totals.len().into();
                page["ties"] = ties.len().into();
                page["nearest"] = nearest(picked, totals, most)
                    .into_iter()
                    .map(|(i, total)| json!({"endpoint": name(i), "total": number(total), "scores": scores(steps, i)}))
                    .collect();
            }
            _ => {}
        }
    }
    if !removed.is_empty() {
        page["removed"] = removed.into();
    }
    if !weights.is_empty() {
        page["weights"] = weights.into();
    }
    page
}

/// The first that was picked, and others by how near their totals are to its own.
fn nearest(picked: &[u32], totals: &[(u32, f32)], most: usize) -> Vec<(u32, f32)> {
    let best = totals.iter().find(|(i, _)| Some(i) == picked.first()).map_or(0.0, |(_, total)| *total);
    let mut nearest = totals.to_vec();
    let distance = |&(i, total): &(u32, f32)| {
        (total - best).abs() + f32::from(u8::from(picked.first() != Some(&i))) * f32::MIN_POSITIVE
    };
    nearest.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    nearest.truncate(most);
    nearest
}

/// The scores of the endpoint at position `i`, by scorer.
fn scores(steps: &[Step], i: u32) -> Value {
    let of = |step: &Step| match step {
        Step::Scored { plugin, scores, .. } => {
            let score = scores.iter().find(|(other, _)| *other == i)?.1;
            Some((plugin.to_string(), number(score)))
        }
        _ => None,
    };
    Value::Object(steps.iter().filter_map(of).collect())
}

/// The JSON text with what is not ASCII, or no part of a header, as escapes; it stands in strings alone.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut units = [0; 2];
    for c in json.chars() {
        if matches!(c, ' '..='~') {
            text.push(c);
        } else {
            c.encode_utf16(&mut units).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}")));
        }
    }
    text
}
