//! Plugin types of llm-d Router that this release takes without having them: their names and their parameters are known, and
//! what they stand for is told.

use serde_json::{Map, Value};

/// A plugin type that is known and not built.
pub(super) struct Later {
    kind: &'static str,
    parameters: &'static [&'static str],
    /// What happens in its place.
    meanwhile: &'static str,
    /// Whether requests would go elsewhere with it: then it is an error.
    decides: bool,
}

const QUEUES: &str = "this release queues no requests";
const PRECISE: &str = "this release does not read the cache events of model servers; write prefix-cache-scorer, which keeps \
                       account of the prefixes itself";
const PREDICTIONS: &str = "this release predicts no latencies";
const EVENTS: &str = "plugins of this release learn of endpoints without it";

const PRECISE_PARAMETERS: &[&str] =
    &["tokenProcessorConfig", "indexerConfig", "kvEventsConfig", "speculativeIndexing", "speculativeTTL"];
const PREDICTOR_PARAMETERS: &[&str] = &[
    "samplingMean",
    "maxDecodeTokenSamplesForPrediction",
    "sloBufferFactor",
    "contextTTL",
    "streamingMode",
    "endpointRoleLabel",
    "predictInProduce",
    "useEncoderCacheFeatures",
    "prefixMatchInfoProducerName",
    "inFlightLoadProducerName",
    "encoderCacheMatchInfoProducerName",
];
const PROGRAM_PARAMETERS: &[&str] = &[
    "strategy",
    "evictionTtlSeconds",
    "evictionSweepSeconds",
    "lasWeightService",
    "lasWeightHeadWait",
    "lasHalfLifeSeconds",
];
/// One that the routing does without: a warning.
const fn aside(kind: &'static str, parameters: &'static [&'static str], meanwhile: &'static str) -> Later {
    Later { kind, parameters, meanwhile, decides: false }
}

/// One whose absence sends requests elsewhere: an error.
const fn decides(kind: &'static str, parameters: &'static [&'static str], meanwhile: &'static str) -> Later {
    Later { kind, parameters, meanwhile, decides: true }
}

/// By what they are about.
const TYPES: &[Later] = &[
    aside("edf-ordering-policy", &[], QUEUES),
    aside("fcfs-ordering-policy", &[], QUEUES),
    aside("global-strict-fairness-policy", &[], QUEUES),
    aside("priority-holdback-policy", &["minCeiling", "maxCeiling", "shape", "domain"], QUEUES),
    aside("priority-then-time-eviction-order-policy", &[], QUEUES),
    aside("program-aware-fairness", PROGRAM_PARAMETERS, QUEUES),
    aside("round-robin-fairness-policy", &[], QUEUES),
    aside("sheddable-eviction-filter", &[], QUEUES),
    aside("slo-deadline-ordering-policy", &[], QUEUES),
    aside("soft-reflective-ceiling-policy", &[], QUEUES),
    aside("static-usage-limit-policy", &["threshold"], QUEUES),
    decides("precise-prefix-cache-producer", PRECISE_PARAMETERS, PRECISE),
    decides("precise-prefix-cache-scorer", PRECISE_PARAMETERS, PRECISE),
    decides("predicted-latency-producer", PREDICTOR_PARAMETERS, PREDICTIONS),
    aside(
        "latency-slo-admitter",
        &["latencyPredictionInfoProducerName"],
        "this release predicts no latencies, and without predictions it refuses nothing",
    ),
    aside(
        "slo-headroom-tier-filter",
        &["epsilonExploreNeg", "latencyPredictionInfoProducerName"],
        "this release predicts no latencies, and without predictions it keeps every endpoint",
    ),
    aside("endpoint-notification-source", &[], EVENTS),
    aside("k8s-notification-source", &["group", "version", "kind"], EVENTS),
];

/// What is to be said of a plugin of a type that is known and not built.
pub(super) enum Told {
    /// It can be left out: a warning.
    Aside(String),
    /// It can't: an error.
    Decides(String),
    /// The type has no such parameter; those that it has.
    Parameter(String, &'static [&'static str]),
}

/// What is to be said of a plugin of type `kind` with these `parameters`; `None` for a type that is not known either.
pub(super) fn later(kind: &str, parameters: Option<&Map<String, Value>>) -> Option<Vec<Told>> {
    let Later { parameters: known, meanwhile, decides, .. } =
        TYPES.iter().find(|later| later.kind == kind)?;
    let first = if *decides {
        Told::Decides(format!("{kind} is a type of llm-d's that is not built here: {meanwhile}"))
    } else {
        Told::Aside(format!("{kind} has no effect: {meanwhile}"))
    };
    let unknown = parameters.into_iter().flat_map(Map::keys).filter(|name| !known.contains(&name.as_str()));
    Some(std::iter::once(first).chain(unknown.map(|name| Told::Parameter(name.clone(), known))).collect())
}

/// Whether a type of this name is known and not built.
pub(super) fn is_later(kind: &str) -> bool {
    TYPES.iter().any(|later| later.kind == kind)
}
