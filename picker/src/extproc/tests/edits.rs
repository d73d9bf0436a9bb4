//! What plugins may change of a request, as gateways are told it.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use picker_core::booking::{Launch, Until};
use picker_core::config::Scope;
use picker_core::endpoint::Load;
use picker_core::hot::Outcome;
use picker_core::plugin::{BuildCx, BuildError, Origin, Plugin, Registration, Registry, Role, Roles, Task};
use picker_core::plugins::builtin;
use picker_core::role::PreRequest;
use picker_core::{Ask, Decision, Hot, Needs};
use picker_proto::body_mutation::Mutation;
use picker_proto::build::string;
use picker_proto::field_value::Kind;
use picker_proto::processing_mode::BodySendMode::{
    Buffered, BufferedPartial, FullDuplexStreamed, None as NoBody, Streamed,
};
use picker_proto::processing_response::Response;
use picker_proto::{BodyMutation, CommonResponse, HeaderMap, ProcessingResponse};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::Fixture;
use super::client::Picker;
use super::client::Step::{Get, Send};
use super::words::*;

const RED: &str = "10.0.0.1:8000";

/// One of the edits.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Edit {
    /// Another model, by its place in the body.
    Splice,
    RemoveHeader,
    SetDestination,
    ClearRoute,
    Text,
    /// A request on the endpoint that is not the destination, which a header would tell.
    BookOther,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    edit: Edit,
}

struct Editor(Edit);

impl Plugin for Editor {
    const TYPE: &'static str = "editor";
    const TASK: Task = Task::OwnRules;
    const ORIGIN: Origin = Origin::Waypost;
    const SUMMARY: &'static str = "Edits requests.";
    const ROLES: &'static [Role] = &[Role::PreRequest];
    const SAMPLE: &'static str = "plugins: [{type: editor, parameters: {edit: clearRoute}}]";
    type Params = Params;

    fn build(Params { edit }: Params, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let pre_request: Arc<dyn PreRequest> = Arc::new(Self(edit));
        Ok(Roles { pre_request: Some(pre_request), needs: Needs::BODY, ..Roles::default() })
    }
}

impl PreRequest for Editor {
    fn pre_request(&self, _: &Ask<'_>, decision: &Decision, launch: &mut Launch<'_>) {
        let edits = &mut launch.edits;
        match self.0 {
            Edit::Splice => assert!(edits.splice(10..14, "another-model")),
            Edit::RemoveHeader => edits.remove_header("x-debug"),
            Edit::SetDestination => edits.set_destination("10.0.0.1:8001"),
            Edit::ClearRoute => edits.clear_route(),
            Edit::Text => edits.text("envoy.lb", "tier", "gold"),
            Edit::BookOther => {
                let other = 1 - decision.destination().unwrap()[0] as usize;
                launch.book(other, Load { requests: 1, tokens: 0 }, Until::FirstByte);
            }
        }
    }
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| builtin().clone().with(Registration::of::<Editor>()));

/// A picker of `addresses` whose strategy edits requests.
async fn editing(edit: &str, addresses: &[&str]) -> Picker {
    let mut fixture = Fixture::new(None, addresses);
    let hot = Hot::new(&REGISTRY);
    let routing = json!({"plugins": [{"type": "editor", "parameters": {"edit": edit}}]});
    let swapped = Outcome::Swapped { resets: Vec::new(), warnings: Box::default() };
    assert_eq!(hot.offer(&routing, Scope::Resource), swapped);
    Arc::get_mut(&mut fixture.pool).unwrap().hot = Arc::new(hot);
    Picker::start(fixture).await
}

/// The route to RED without edits.
fn plain(picker: &Picker) -> Routed {
    Routed { destination: RED, revision: picker.fixture.revision(), removed: Vec::new() }
}

/// What the headers are answered with, changed by `change`.
fn in_headers(picker: &Picker, change: impl FnOnce(&mut CommonResponse)) -> ProcessingResponse {
    let mut answer = plain(picker).in_headers();
    let Some(Response::RequestHeaders(headers)) = &mut answer.response else { panic!("{answer:?}") };
    change(headers.response.as_mut().unwrap());
    answer
}

/// Sends the headers `headers` and the body, and gets `expected` and the body back.
async fn duplex(picker: &Picker, headers: HeaderMap, expected: ProcessingResponse) {
    let steps = vec![
        Send(first(headers, false, FullDuplexStreamed, NoBody)),
        Send(body(ask("blue"), true)),
        Get(expected),
        Get(echo(ask("blue"), true)),
    ];
    picker.play(steps).await;
}

#[tokio::test]
async fn a_part_of_the_body_is_replaced() {
    let picker = editing("splice", &[RED]).await;
    let ask = ask("blue");
    picker
        .play(vec![
            Send(first(chat(), false, FullDuplexStreamed, NoBody)),
            Send(body(ask.clone(), true)),
            Get(plain(&picker).in_headers()),
            Get(echo(ask.slice(..10), false)),
            Get(echo("another-model", false)),
            Get(echo(ask.slice(14..), true)),
        ])
        .await;
    let mut whole = plain(&picker).in_body();
    let Some(Response::RequestBody(answer)) = &mut whole.response else { panic!("{whole:?}") };
    let new = Bytes::from([&ask[..10], b"another-model", &ask[14..]].concat());
    answer.response.as_mut().unwrap().body_mutation =
        Some(BodyMutation { mutation: Some(Mutation::Body(new)) });
    picker
        .play(vec![
            Send(first(chat(), false, Buffered, NoBody)),
            Get(go_on_headers()),
            Send(body(ask, true)),
            Get(whole),
        ])
        .await;
}

/// The headers of a chat with these more.
fn chat_with(headers: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut all = chat();
    all.headers.extend(HeaderMap::from_iter(headers.iter().copied()).headers);
    all
}

/// What clients say of the bytes that they send.
const OF_THE_BYTES: [(&str, &str); 4] = [
    ("content-digest", "sha-256=:AAAA:"),
    ("repr-digest", "sha-256=:AAAA:"),
    ("digest", "sha-256=AAAA"),
    ("content-md5", "AAAA"),
];

#[tokio::test]
async fn what_is_said_of_bytes_goes_with_them() {
    let picker = editing("splice", &[RED]).await;
    let new = |text: &Bytes| Bytes::from([&text[..10], b"another-model", &text[14..]].concat());
    let without = |encoding: Option<&str>| {
        let names = encoding.into_iter().chain(OF_THE_BYTES.map(|(name, _)| name));
        Routed { removed: names.map(str::to_owned).collect(), ..plain(&picker) }
    };
    let answered = |route: &Routed, new: Bytes| {
        let mut whole = route.in_body();
        let Some(Response::RequestBody(answer)) = &mut whole.response else { panic!("{whole:?}") };
        answer.response.as_mut().unwrap().body_mutation =
            Some(BodyMutation { mutation: Some(Mutation::Body(new)) });
        whole
    };
    let (text, packed) = (ask("blue"), gzipped(&ask("blue")));
    let encoded: Vec<_> = [("content-encoding", "gzip")].into_iter().chain(OF_THE_BYTES).collect();
    for (headers, bytes, encoding) in
        [(&OF_THE_BYTES[..], &text, None), (&encoded[..], &packed, Some("content-encoding"))]
    {
        let route = without(encoding);
        picker
            .play(vec![
                Send(first(chat_with(headers), false, Buffered, NoBody)),
                Get(go_on_headers()),
                Send(body(bytes.clone(), true)),
                Get(answered(&route, new(&text))),
            ])
            .await;
        picker
            .play(vec![
                Send(first(chat_with(headers), false, FullDuplexStreamed, NoBody)),
                Send(body(bytes.clone(), true)),
                Get(route.in_headers()),
                Get(echo(text.slice(..10), false)),
                Get(echo("another-model", false)),
                Get(echo(text.slice(14..), true)),
            ])
            .await;
    }
    // Where the body goes on as it came, so does what is said of it.
    for bytes in [&text, &packed] {
        let headers = if bytes == &text { &OF_THE_BYTES[..] } else { &encoded };
        picker
            .play(vec![
                Send(early(first(chat_with(headers), false, Streamed, NoBody))),
                Send(body(bytes.clone(), true)),
                Get(plain(&picker).in_headers()),
                Get(go_on_body()),
            ])
            .await;
        picker
            .play(vec![
                Send(first(chat_with(headers), false, BufferedPartial, NoBody)),
                Get(go_on_headers()),
                Send(body(bytes.clone(), false)),
                Get(plain(&picker).in_body()),
            ])
            .await;
    }
}

#[tokio::test]
async fn a_header_is_taken_out() {
    let picker = editing("removeHeader", &[RED]).await;
    let expected = in_headers(&picker, |common| {
        common.header_mutation.as_mut().unwrap().remove_headers.push("x-debug".to_owned());
    });
    duplex(&picker, chat(), expected).await;
}

#[tokio::test]
async fn the_route_is_chosen_anew() {
    let picker = editing("clearRoute", &[RED]).await;
    let expected = in_headers(&picker, |common| common.clear_route_cache = true);
    duplex(&picker, chat(), expected).await;
}

#[tokio::test]
async fn the_gateway_is_told_a_text() {
    let picker = editing("text", &[RED]).await;
    let mut expected = plain(&picker).in_headers();
    let envoy = expected.dynamic_metadata.as_mut().unwrap().fields.iter_mut().find(|f| f.key == "envoy.lb");
    let Some(Kind::StructValue(envoy)) = &mut envoy.unwrap().value.as_mut().unwrap().kind else { panic!() };
    let mut field = envoy.fields[0].clone();
    field.key = "tier".into();
    field.value.as_mut().unwrap().kind = Some(Kind::StringValue("gold".into()));
    envoy.fields.push(field);
    duplex(&picker, chat(), expected).await;
}

#[tokio::test]
async fn another_port_of_the_pod_passes_the_request_on_and_is_no_fallback() {
    let picker = editing("setDestination", &[RED]).await;
    let sent = Routed { destination: "10.0.0.1:8001", ..plain(&picker) };
    for (served, mismatches) in [("10.0.0.1:8001", 0), (RED, 0), ("10.0.0.9:8000", 1)] {
        let key = "x-gateway-destination-endpoint-served";
        let served = with_metadata(response_headers("text/plain", true), "envoy.lb", key, string(served));
        picker
            .play(vec![
                Send(first(chat(), false, FullDuplexStreamed, NoBody)),
                Send(body(ask("blue"), true)),
                Get(sent.in_headers()),
                Get(echo(ask("blue"), true)),
                Send(served),
                Get(go_on_response_headers()),
            ])
            .await;
        assert_eq!(
            picker.fixture.lines("waypost_picker_served_mismatches_total"),
            [format!("waypost_picker_served_mismatches_total {mismatches}")]
        );
    }
}

#[tokio::test]
async fn where_no_header_can_be_told_the_destination_alone_is_booked() {
    let picker = editing("bookOther", &[RED, "10.0.0.2:8000"]).await;
    let mut stream = picker.open().await;
    stream.send(first(chat(), false, FullDuplexStreamed, NoBody)).await;
    stream.send(body(ask("blue"), true)).await;
    stream.get().await.unwrap().unwrap();
    stream.play(vec![Get(echo(ask("blue"), true))]).await;
    assert_eq!(picker.fixture.in_flight(), [1, 1]);
    stream.requests = None;
    assert_eq!(stream.get().await.unwrap(), None);
    assert_eq!(picker.fixture.in_flight(), [0, 0]);
    let mut stream = picker.open().await;
    stream
        .play(vec![Send(first(chat(), false, Buffered, NoBody)), Get(go_on_headers()), Send(trailers())])
        .await;
    stream.get().await.unwrap().unwrap();
    assert_eq!(picker.fixture.in_flight().iter().sum::<u32>(), 1);
}
