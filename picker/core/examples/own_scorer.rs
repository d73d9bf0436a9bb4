//! A plugin of one's own, outside the crate: `cargo run -p picker-core --example own_scorer`.
//!
//! `zone-scorer` prefers model servers in the zone that a request names. It is registered by one line, compiled into a
//! strategy together with the built-in plugins, and one decision of that strategy is printed step by step. The page
//! `docs/write-a-plugin.md` walks through this file.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use picker_core::ask::Ask;
use picker_core::compile::compile_with;
use picker_core::config::Scope;
use picker_core::endpoint::{EndpointId, EndpointSpec, Labels, Slots};
use picker_core::plugin::{BuildCx, BuildError, Origin, Plugin, Registration, Registry, Role, Roles, Task};
use picker_core::plugins::builtin;
use picker_core::prepare::Prepared;
use picker_core::request::{Headers, Request};
use picker_core::role::Scorer;
use picker_core::store::StateStore;
use picker_core::trace::{Explain, Step};
use picker_core::view::{Candidates, Reading, Signals};
use picker_core::{Cx, View};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Parameters of `zone-scorer`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Label of the pods that has their zone.
    label: String,
    /// Request header that names the zone of the client, in lower case.
    header: String,
}

impl Default for Params {
    fn default() -> Self {
        Self { label: "topology.kubernetes.io/zone".to_owned(), header: "x-client-zone".to_owned() }
    }
}

/// 1 for servers in the zone that the request names, 0 for all others, and 0 for all when it names none.
#[derive(Debug)]
pub struct ZoneScorer(Params);

impl Plugin for ZoneScorer {
    const TYPE: &'static str = "zone-scorer";
    const TASK: Task = Task::Labels;
    const ORIGIN: Origin = Origin::Waypost;
    const SUMMARY: &'static str = "Prefers servers in the zone that a request header names.";
    const FORMULA: &'static str = "1 when the pod's label equals the header, else 0.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    const SAMPLE: &'static str = "\
plugins:
- type: zone-scorer
  parameters:
    header: x-client-zone
- type: queue-scorer
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: zone-scorer, weight: 2}
  - {pluginRef: queue-scorer, weight: 1}
";
    type Params = Params;

    fn build(params: Params, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        if params.header.is_empty() || params.header.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(BuildError::invalid("header", "must be the name of a header in lower case"));
        }
        Ok(Roles { scorer: Some(Arc::new(Self(params))), ..Roles::default() })
    }
}

impl Scorer for ZoneScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let Some(zone) = ask.request.headers.text(&self.0.header) else { return };
        for (score, i) in out.iter_mut().zip(candidates.iter()) {
            let own = ask.view.endpoints[i].labels.get(&self.0.label);
            *score = if own.is_some_and(|own| own == zone) { 1.0 } else { 0.0 };
        }
    }
}

/// The built-in plugins and this one.
fn registry() -> Registry {
    builtin().clone().with(Registration::of::<ZoneScorer>())
}

/// Two model servers: pod-0 in zone `a` with an empty queue, pod-1 in zone `b` with three waiting requests.
fn view(now: Instant) -> View {
    let mut slots = Slots::default();
    let rows = [("a", 0.0, 1), ("b", 3.0, 2)].into_iter().enumerate().map(|(n, (zone, waiting, last))| {
        let spec = EndpointSpec {
            id: EndpointId { pod_uid: format!("uid-{n}").into(), port: 8000, rank: 0 },
            pod: format!("pod-{n}"),
            namespace: "default".to_owned(),
            address: ([10, 0, 0, last], 8000).into(),
            labels: Labels::from([("topology.kubernetes.io/zone".to_owned(), zone.to_owned())]),
        };
        let signals = Signals { waiting: Some(waiting), ..Signals::default() };
        (Arc::new(slots.admit(spec)), Reading { signals, at: Some(now) })
    });
    View::build(rows.collect(), now, Duration::from_secs(1))
}

/// The pod that the plugin's sample chooses for a client in `zone`, and each step of the decision.
fn decide(zone: &str) -> Result<(String, Vec<Step>), Box<dyn Error>> {
    let routing: Value = serde_saphyr::from_str(ZoneScorer::SAMPLE)?;
    let compiled = compile_with(&registry(), &routing, Scope::Resource, &StateStore::default())?;
    let headers = [("x-client-zone", zone)].map(|(name, value)| {
        (Bytes::copy_from_slice(name.as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
    });
    let request = Request { headers: Headers(headers.into()), ..Request::default() };
    let (mut cx, mut explain) = (Cx::live(), Explain::default());
    let view = view(cx.now());
    let flight = compiled
        .strategy
        .route_traced(&request, &view, None, Prepared::default(), &mut cx, &mut explain)
        .map_err(|refusal| refusal.message().to_owned())?;
    Ok((flight.endpoint().pod.clone(), explain.steps))
}

fn main() -> Result<(), Box<dyn Error>> {
    for zone in ["a", "b", "c"] {
        let (pod, steps) = decide(zone)?;
        println!("a client in zone {zone} is sent to {pod}:");
        for step in steps {
            println!("  {step:?}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use picker_core::inputs::Input;
    use picker_core::trace::Edited;

    use super::*;

    fn scored(plugin: &str, weight: f32, scores: [f32; 2], inputs: Vec<Input>) -> Step {
        let scores = (0..).zip(scores).collect();
        Step::Scored { plugin: plugin.into(), weight, scores, inputs }
    }

    #[test]
    fn the_zone_counts_twice_as_much_as_the_queue() {
        for (zone, zones, chosen) in [("a", [1.0, 0.0], 0), ("b", [0.0, 1.0], 1), ("c", [0.0, 0.0], 0)] {
            let waiting = Input { name: "waiting".into(), values: [0.0, 3.0].into() };
            let totals = vec![(0, 2.0 * zones[0] + 1.0), (1, 2.0 * zones[1])];
            let steps = vec![
                Step::Profile("default".into()),
                scored("zone-scorer", 2.0, zones, vec![]),
                scored("queue-scorer", 1.0, [1.0, 0.0], vec![waiting]),
                Step::Picked {
                    plugin: "max-score-picker".into(),
                    picked: vec![chosen],
                    totals,
                    ties: vec![],
                },
                Step::Launched { primary: 0, edits: Edited::default() },
            ];
            assert_eq!(decide(zone).unwrap(), (format!("pod-{chosen}"), steps), "{zone}");
        }
    }

    #[test]
    fn a_wrong_parameter_is_told_with_its_path() {
        let told = |parameters: &str| {
            let text = format!("plugins: [{{type: zone-scorer, parameters: {parameters}}}]");
            let routing: Value = serde_saphyr::from_str(&text).unwrap();
            let compiled = compile_with(&registry(), &routing, Scope::Resource, &StateStore::default());
            compiled.err().map(|errors| errors.to_string())
        };
        let header = "plugins[0].parameters.header: must be the name of a header in lower case";
        assert_eq!(told("{header: X-Zone}").as_deref(), Some(header));
        let unknown = "plugins[0].parameters.zone: unknown field `zone`; known here: label, header";
        assert_eq!(told("{zone: a}").as_deref(), Some(unknown));
        assert_eq!(told("{header: x-zone}"), None);
    }
}
