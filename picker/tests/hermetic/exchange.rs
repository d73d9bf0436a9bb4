//! One exchange as Envoy has it with the picker, bodies sent both ways at once.

use bytes::Bytes;
use picker_proto::build::{fields, first, namespace, string};
use picker_proto::processing_mode::BodySendMode::FullDuplexStreamed;
use picker_proto::processing_request::Request;
use picker_proto::processing_response::Response;
use picker_proto::{
    HeaderMap, HeaderMutation, HttpBody, HttpHeaders, Kind, ListValue, ProcessingRequest, ProcessingResponse,
    Value,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::pods::Pods;
use crate::running::PATIENCE;

/// The body of a request.
#[derive(Clone, Debug)]
pub enum Body {
    /// The request ends with its headers.
    None,
    Pieces(Vec<String>),
}

/// A request, and what the model server answers.
pub struct Ask {
    pub body: Body,
    /// Beside the usual ones.
    pub headers: Vec<(&'static str, String)>,
    /// Addresses that the gateway allows.
    pub subset: Option<Vec<String>>,
    /// Content type and body of the answer, where there is one.
    pub response: Option<(&'static str, Vec<String>)>,
}

impl Default for Ask {
    fn default() -> Self {
        Self { body: Body::None, headers: Vec::new(), subset: None, response: None }
    }
}

/// What the picker says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It goes to this pod.
    Pod(usize),
    /// It is refused with this status and reason.
    Refused(u16, &'static str),
}

/// The whole of an exchange.
pub struct Seen {
    pub answer: Answer,
    /// The body that the model server gets.
    pub request_body: String,
    /// Headers of the answer that the picker sets.
    pub response_headers: Vec<(String, String)>,
    /// The body that the client gets.
    pub response_body: String,
}

const REASONS: [&str; 2] = ["rejected-no-endpoints", "rejected-bad-body"];

fn set_headers(mutation: Option<&HeaderMutation>) -> Vec<(String, String)> {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let headers = mutation.iter().flat_map(|mutation| &mutation.set_headers);
    let headers = headers.filter_map(|option| option.header.as_ref());
    headers.map(|header| (text(&header.key), text(&header.raw_value))).collect()
}

fn value<'a>(headers: &'a [(String, String)], name: &str) -> &'a str {
    headers.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
}

async fn next(answers: &mut Streaming<ProcessingResponse>) -> Response {
    let answer = tokio::time::timeout(PATIENCE, answers.message()).await.unwrap().unwrap();
    answer.unwrap().response.unwrap()
}

/// A text of a piece of a body that is sent on.
fn streamed(answer: &picker_proto::BodyResponse) -> (String, bool) {
    use picker_proto::body_mutation::Mutation;
    let mutation = answer.response.as_ref().and_then(|common| common.body_mutation.as_ref());
    match mutation.and_then(|mutation| mutation.mutation.as_ref()) {
        Some(Mutation::StreamedResponse(piece)) => {
            (String::from_utf8(piece.body.to_vec()).unwrap(), piece.end_of_stream)
        }
        other => panic!("{other:?}"),
    }
}

fn head(ask: &Ask) -> ProcessingRequest {
    let (method, path) = match ask.body {
        Body::None => ("GET", "/v1/models"),
        Body::Pieces(_) => ("POST", "/v1/completions"),
    };
    let mut headers = vec![(":method", method.to_owned()), (":path", path.to_owned())];
    headers.extend([("content-type", "application/json".to_owned()), ("hi", "mom".to_owned())]);
    headers.extend(ask.headers.iter().cloned());
    let headers = HeaderMap::from_iter(headers);
    let ends = matches!(ask.body, Body::None);
    let mut message = first(headers, ends, FullDuplexStreamed, FullDuplexStreamed);
    if let Some(subset) = &ask.subset {
        let list = ListValue { values: subset.iter().map(string).collect() };
        let list = Value { kind: Some(Kind::ListValue(list)) };
        let hint = fields([("x-gateway-destination-endpoint-subset", list)]);
        message.metadata_context = Some(namespace("envoy.lb.subset_hint", &hint));
    }
    message
}

/// Asks the picker of `pods`, and shows it the answer.
pub async fn ask(pods: &Pods, ask: Ask) -> Seen {
    let (requests, rx) = mpsc::channel(64);
    let mut client = pods.picker.connect().await.unwrap();
    requests.send(head(&ask)).await.unwrap();
    if let Body::Pieces(pieces) = &ask.body {
        for (n, piece) in pieces.iter().enumerate() {
            let body = HttpBody { body: Bytes::from(piece.clone()), end_of_stream: n + 1 == pieces.len() };
            requests.send(Request::RequestBody(body).into()).await.unwrap();
        }
    }
    let mut answers = client.process(ReceiverStream::new(rx)).await.unwrap().into_inner();
    let mut seen = Seen {
        answer: Answer::Refused(0, ""),
        request_body: String::new(),
        response_headers: Vec::new(),
        response_body: String::new(),
    };
    match next(&mut answers).await {
        Response::ImmediateResponse(refused) => {
            let headers = set_headers(refused.headers.as_ref());
            let reason = value(&headers, "x-llm-d-request-dropped-reason");
            let reason = REASONS.into_iter().find(|other| *other == reason).unwrap_or("another");
            let status = refused.status.map(|status| status.code).unwrap_or_default();
            return Seen { answer: Answer::Refused(u16::try_from(status).unwrap(), reason), ..seen };
        }
        Response::RequestHeaders(headers) => {
            let common = headers.response.unwrap();
            let headers = set_headers(common.header_mutation.as_ref());
            seen.answer = Answer::Pod(pods.at(value(&headers, "x-gateway-destination-endpoint")));
        }
        other => panic!("{other:?}"),
    }
    let mut ended = matches!(ask.body, Body::None);
    while !ended {
        let Response::RequestBody(body) = next(&mut answers).await else { panic!("no body") };
        let (piece, end) = streamed(&body);
        seen.request_body += &piece;
        ended = end;
    }
    if let Some((content_type, pieces)) = ask.response {
        let headers = HeaderMap::from_iter([(":status", "200"), ("content-type", content_type)]);
        let head = HttpHeaders { headers: Some(headers), end_of_stream: false };
        requests.send(Request::ResponseHeaders(head).into()).await.unwrap();
        let Response::ResponseHeaders(head) = next(&mut answers).await else { panic!("no head") };
        let common = head.response.unwrap_or_default();
        seen.response_headers = set_headers(common.header_mutation.as_ref());
        let count = pieces.len();
        for (n, piece) in pieces.into_iter().enumerate() {
            let body = HttpBody { body: Bytes::from(piece), end_of_stream: n + 1 == count };
            requests.send(Request::ResponseBody(body).into()).await.unwrap();
            let Response::ResponseBody(body) = next(&mut answers).await else { panic!("no body") };
            seen.response_body += &streamed(&body).0;
        }
    }
    seen
}
