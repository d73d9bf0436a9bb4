//! What gateways and clients are told of a decision.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use picker_proto::field_value::Kind;
use picker_proto::processing_mode::BodySendMode::None as NoBody;
use picker_proto::processing_response::Response;
use picker_proto::{Fields, HeaderMutation, ProcessingResponse};
use serde_json::{Value, json};

use super::Fixture;
use super::words::*;
use crate::extproc::grpc::process;

const PODS: [&str; 2] = ["10.0.0.1:8000", "10.0.0.2:8000"];
const ASKS: (&str, &str) = ("x-waypost-explain", "canary-6f1c");

/// A picker whose strategy explains by `explain`, of which the first endpoint has a request.
fn picker(explain: &Value, scores: bool) -> Fixture {
    let routing = json!({
        "plugins": [{"type": "active-request-scorer"}],
        "schedulingProfiles": [
            {"name": "default", "plugins": [{"pluginRef": "active-request-scorer", "weight": 2}]}],
        "explain": explain,
    });
    Fixture::new(Some(routing), &PODS).limited(|limits| limits.endpoint_scores = scores)
}

/// The answers to the headers of a request and of its response.
async fn answers(picker: &Fixture, headers: &[(&str, &str)]) -> [ProcessingResponse; 2] {
    let all = headers.iter().fold(chat(), |all, (name, value)| with_header(all, name, value));
    let messages = [first(all, true, NoBody, NoBody), response_headers("text/plain", true)];
    let answers = process(picker.pool.clone(), stream::iter(messages.map(Ok)));
    let answers: Vec<_> = answers.map(|answer| answer.unwrap()).collect().await;
    answers.try_into().unwrap()
}

fn mutation(answer: &ProcessingResponse) -> HeaderMutation {
    let response = match answer.response.clone().unwrap() {
        Response::RequestHeaders(headers) | Response::ResponseHeaders(headers) => headers.response,
        other => panic!("{other:?}"),
    };
    response.and_then(|common| common.header_mutation).unwrap_or_default()
}

fn set(answer: &ProcessingResponse) -> BTreeMap<String, String> {
    let headers = mutation(answer).set_headers.into_iter().filter_map(|header| header.header);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    headers.map(|header| (text(&header.key), text(&header.raw_value))).collect()
}

fn as_json(fields: &Fields) -> Value {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let value = |field: &picker_proto::Field| match field.value.as_ref().unwrap().kind.as_ref().unwrap() {
        Kind::StringValue(value) => text(value).into(),
        Kind::NumberValue(number) => json!(number),
        Kind::StructValue(fields) => as_json(fields),
    };
    Value::Object(fields.fields.iter().map(|field| (text(&field.key), value(field))).collect())
}

fn metadata_of(answer: &ProcessingResponse) -> Value {
    as_json(answer.dynamic_metadata.as_ref().unwrap())
}

/// Of an explanation: who got which total.
fn totals(text: &str) -> Value {
    let page: Value = serde_json::from_str(text).unwrap();
    page["profiles"][0]["nearest"].as_array().unwrap().iter().map(|one| one["total"].clone()).collect()
}

#[tokio::test]
async fn a_client_is_told_when_it_asks_and_the_strategy_allows_it() {
    let both = |allowed: bool, asks: bool| async move {
        let picker = picker(&json!({"responseHeader": allowed}), false);
        let headers: &[_] = if asks { &[ASKS] } else { &[] };
        let [request, response] = answers(&picker, headers).await;
        let removed = mutation(&request).remove_headers;
        assert_eq!(removed, if asks { vec![ASKS.0.to_owned()] } else { vec![] });
        let told = set(&response).remove(ASKS.0);
        assert!(!format!("{request:?} {response:?}").contains(ASKS.1));
        assert_eq!(metadata_of(&request)["waypost.dev"].as_object().unwrap().len(), 1);
        told
    };
    assert_eq!(both(false, false).await, None);
    assert_eq!(both(false, true).await, None);
    assert_eq!(both(true, false).await, None);
    assert_eq!(totals(&both(true, true).await.unwrap()), json!([2.0, 2.0]));
}

/// Whatever a strategy says, what asks does not reach model servers.
#[tokio::test]
async fn the_header_that_asks_is_taken_out_without_a_section_too() {
    let [request, _] = answers(&picker(&Value::Null, false), &[ASKS]).await;
    assert_eq!(mutation(&request).remove_headers, [ASKS.0]);
}

#[tokio::test]
async fn a_gateway_is_told_in_metadata() {
    let picker = picker(&json!({"metadata": true}), false);
    let [request, response] = answers(&picker, &[]).await;
    let metadata = metadata_of(&request);
    assert_eq!(totals(metadata["waypost.dev"]["explain"].as_str().unwrap()), json!([2.0, 2.0]));
    assert_eq!(metadata["waypost.dev"]["revision"], picker.revision());
    assert_eq!(metadata["envoy.lb"].as_object().unwrap().len(), 1);
    assert!(set(&response).is_empty() && response.dynamic_metadata.is_none());
}

#[tokio::test]
async fn totals_are_told_where_the_strategy_or_else_the_process_says_so() {
    let all = json!({PODS[0]: 2.0, PODS[1]: 2.0});
    for (explain, process, told) in [
        (json!({}), false, false),
        (json!({}), true, true),
        (json!({"endpointScores": true}), false, true),
        (json!({"endpointScores": false}), true, false),
        (json!({"endpointScores": true, "metadata": true, "samplePercent": 100}), false, true),
    ] {
        let picker = picker(&explain, process);
        let [request, _] = answers(&picker, &[]).await;
        let scores = &metadata_of(&request)["envoy.lb"]["x-gateway-destination-endpoint-scores"];
        assert_eq!(scores, if told { &all } else { &Value::Null }, "{explain} {process}");
    }
}

/// What is kept is the decision that was made, once for each request, and a share of them.
#[tokio::test]
async fn a_share_of_decisions_is_kept() {
    let all = picker(&json!({"samplePercent": 100}), false);
    let [request, _] = answers(&all, &[]).await;
    let kept = all.pool.decisions.kept();
    assert_eq!(kept.len(), 1);
    let address = kept[0].places.address(kept[0].outcome.unwrap()).unwrap().to_string();
    assert_eq!(set(&request)["x-gateway-destination-endpoint"], address);
    assert_eq!((kept[0].request_id.as_deref(), &*kept[0].revision), (Some("id-0"), &*all.revision()));
    let tenth = picker(&json!({"samplePercent": 10}), false);
    for _ in 0..1000 {
        answers(&tenth, &[]).await;
    }
    let kept = tenth.pool.decisions.kept().len();
    assert!((50..160).contains(&kept), "{kept}");
}
