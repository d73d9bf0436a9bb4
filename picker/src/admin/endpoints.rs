//! The page about the endpoints: what is known of each, and why the rest is not.

use std::time::{Instant, SystemTime};

use picker_core::column::Column;
use picker_core::health::Phase;
use picker_core::scrape::{ScrapePlan, SourceId};
use picker_core::view::Model;
use picker_core::{Endpoint, View};
use serde_json::{Map, Value, json};

use super::timestamp::timestamp;
use crate::source::Serving;
use crate::watch::endpoint_set::Target;
use crate::watch::readout::{Figure, Unknown};

/// The most models of an endpoint that are shown; of more their number is.
const SHOWN: usize = 32;

/// The health of an endpoint; with what is said against it, unless it is healthy.
fn health(endpoint: &Endpoint, now: Instant) -> Value {
    let status = endpoint.health().status(now);
    match status.phase {
        Phase::Healthy => json!({"state": status.phase.name()}),
        phase => json!({
            "state": phase.name(),
            "reason": status.reason.name(),
            "sinceSeconds": status.since.as_secs_f64(),
        }),
    }
}

/// The page of the endpoints of `view`, of which `targets` have been read for the strategy that serves.
pub(super) fn page(view: &View, targets: &[Target], serving: &Serving) -> Value {
    let (now, plan) = (Instant::now(), serving.scrape.as_deref());
    let attributes = plan.map_or(&[][..], |plan| &plan.attributes);
    let endpoints = view.endpoints.iter().enumerate().map(|(i, endpoint)| {
        let number = |column: Column| {
            let figure = view.column(column)[i];
            if figure.is_nan() { Value::Null } else { json!(figure) }
        };
        let lora = view.lora[i].as_deref();
        let mut page = json!({
            "name": endpoint.name,
            "pod": endpoint.pod,
            "namespace": endpoint.namespace,
            "uid": endpoint.id.pod_uid,
            "address": endpoint.destination,
            "rank": endpoint.id.rank,
            "slot": endpoint.slot,
            "labels": endpoint.labels,
            "inFlight": endpoint.live().in_flight(),
            "health": health(endpoint, now),
            "waiting": number(Column::WAITING),
            "running": number(Column::RUNNING),
            "kvUsage": number(Column::KV_USAGE),
            "blockSize": view.block_size[i],
            "blocks": view.num_blocks[i],
            "cacheTokens": view.cache_tokens[i],
            "lora": lora.map(|l| json!({"max": l.max, "running": l.running, "waiting": l.waiting})),
        });
        let figures = [
            ("waiting", Figure::Number(Column::WAITING), page["waiting"].is_null()),
            ("running", Figure::Number(Column::RUNNING), page["running"].is_null()),
            ("kvUsage", Figure::Number(Column::KV_USAGE), page["kvUsage"].is_null()),
            ("blockSize", Figure::BlockSize, view.block_size[i] == 0),
            ("blocks", Figure::Blocks, view.num_blocks[i] == 0),
            ("lora", Figure::Lora, lora.is_none()),
        ];
        let target = targets.iter().find(|target| target.endpoint.key == endpoint.key);
        let why = |figure: Figure| match (source(plan, figure.column()), target) {
            (Some(source), Some(target)) => explain(target.readout.why_unknown(source, figure)),
            (Some(_), None) => json!({"reason": "not scraped yet"}),
            (None, _) => json!({"reason": "no plugin reads it", "since": serving.since.and_then(timestamp)}),
        };
        let mut unknown: Map<_, _> = figures
            .into_iter()
            .filter(|(_, _, unknown)| *unknown)
            .map(|(name, figure, _)| (name.to_owned(), why(figure)))
            .collect();
        if source(plan, Column::MODELS).is_some() {
            let models = view.models[i].as_deref();
            if models.is_none() {
                unknown.insert("models".to_owned(), why(Figure::Models));
            }
            let model = |model: &Model| json!({"id": model.id, "parent": model.parent});
            page["models"] =
                models.map(|models| models.iter().take(SHOWN).map(model).collect::<Vec<_>>()).into();
            if let Some(more) = models.and_then(|models| models.iter().count().checked_sub(SHOWN + 1)) {
                page["moreModels"] = (more + 1).into();
            }
        }
        if !attributes.is_empty() {
            let values: Map<_, _> =
                attributes.iter().map(|(name, column)| (name.clone(), number(*column))).collect();
            let missing = attributes.iter().filter(|(name, _)| values[name].is_null());
            unknown.extend(missing.map(|(name, column)| (name.clone(), why(Figure::Number(*column)))));
            page["attributes"] = values.into();
        }
        if !unknown.is_empty() {
            page["unknown"] = unknown.into();
        }
        page
    });
    json!({"endpoints": endpoints.collect::<Vec<_>>()})
}

/// The source of which `column` is read, if it is.
fn source(plan: Option<&ScrapePlan>, column: Column) -> Option<SourceId> {
    plan?.by_id().find(|(_, source)| source.tells(column)).map(|(id, _)| id)
}

fn explain(Unknown { reason, since }: Unknown) -> Value {
    let since = SystemTime::now().checked_sub(Instant::now().saturating_duration_since(since));
    json!({"reason": reason, "since": since.and_then(timestamp)})
}

#[cfg(test)]
mod tests;
