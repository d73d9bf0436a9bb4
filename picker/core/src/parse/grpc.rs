//! What messages of gRPC say that are sent as a request's body.
//!
//! Every message that is there is read (the format is that of "Length-Prefixed-Message" in gRPC's `PROTOCOL-HTTP2.md`), but
//! for those that are compressed: they are undone before, and the body that is read has them as they were.
//!
//! | message | fields |
//! |---|---|
//! | `vllm.grpc.engine.GenerateRequest` | `tokenized` = 2 (`input_ids` = 2), `text` = 3, `sampling_params` = 4 (`max_tokens` = 8), `stream` = 5, `mm_inputs` = 7 (`mm_hashes` = 6) |
//! | `vllm.grpc.engine.EmbedRequest` | `tokenized` = 2 (`input_ids` = 2) |
//! | `google.cloud.aiplatform.….{ChatCompletions,RawPredict,StreamRawPredict}Request` | `http_body` = 2 (`google.api.HttpBody`: `data` = 2) |
//!
//! The first two are those of `vllm/grpc/vllm_engine.proto` of vLLM, and of `crates/grpc_client/proto/vllm_engine.proto` of
//! lightseekorg/smg, which has `mm_inputs`; the others those of `google/cloud/aiplatform/v1{,beta1}/prediction_service.proto` and
//! `google/api/httpbody.proto` of googleapis.

use std::ops::Range;

use super::format::{Format, Message};
use super::json;
use super::protobuf::{Field, Value, fields, whole_varints};
use crate::request::{Content, ModelPlace, Text};

/// The length of what stands before a message: whether it is compressed, and its length in four bytes.
pub const HEAD: usize = 5;

/// The most parts of which a prompt is made. Honest clients have one.
const MOST: usize = 64;

/// A message, as a position in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whether it is compressed, as the header `grpc-encoding` says.
    pub compressed: bool,
    /// What is there of it.
    pub message: Range<usize>,
    /// Whether that is all of it.
    pub is_whole: bool,
}

/// The messages of `body`, the last of which may be cut off.
pub fn frames(body: &[u8]) -> impl Iterator<Item = Frame> {
    let mut pos = 0;
    std::iter::from_fn(move || {
        let [flag, length @ ..] = *body.get(pos..)?.first_chunk::<HEAD>()?;
        // Other flags are reserved.
        if flag > 1 {
            return None;
        }
        let (start, length) = (pos + HEAD, u32::from_be_bytes(length) as usize);
        let message = start..body.len().min(start.saturating_add(length));
        pos = message.end;
        Some(Frame { compressed: flag == 1, is_whole: message.len() == length, message })
    })
}

/// What `body` says, which may be cut off anywhere. Of what several messages say the first counts, and their prompts come one
/// after another.
pub(super) fn content(body: &[u8], format: &Format, message: Message) -> Content {
    let mut all: Option<Content> = None;
    for frame in frames(body).filter(|frame| !frame.compressed) {
        let content = read(body, frame, format, message);
        let Some(all) = &mut all else {
            all = Some(content);
            continue;
        };
        all.model = all.model.take().or(content.model);
        all.cache_salt = all.cache_salt.take().or(content.cache_salt);
        all.max_tokens = all.max_tokens.or(content.max_tokens);
        all.stream |= content.stream;
        if all.packed_tokens == all.prompt.len() {
            all.packed_tokens += content.packed_tokens;
        }
        let room = MOST.saturating_sub(all.prompt.len());
        all.prompt.extend(content.prompt.into_iter().take(room));
        let room = MOST.saturating_sub(all.media.len());
        all.media.extend(content.media.into_iter().take(room));
    }
    let mut all = all.unwrap_or_default();
    all.packed_tokens = all.packed_tokens.min(all.prompt.len());
    all
}

fn read(body: &[u8], frame: Frame, format: &Format, message: Message) -> Content {
    match message {
        Message::VllmGenerate => generate(body, frame.message),
        Message::VllmEmbed => embed(body, frame.message),
        Message::Vertex => wrapped(body, frame.message, format),
    }
}

/// The insides of the fields called `number` of the message at `within`.
fn inside(body: &[u8], within: Range<usize>, number: u32) -> impl Iterator<Item = (Range<usize>, bool)> {
    fields(body, within).filter_map(move |field| match field.value {
        Value::Bytes { inner, is_whole } if field.number == number => Some((inner, is_whole)),
        _ => None,
    })
}

fn generate(body: &[u8], within: Range<usize>) -> Content {
    let mut content = Content::default();
    let mut hashes = Content::default();
    let mut is_tokens = false;
    let clear = |content: &mut Content| (content.packed_tokens, content.prompt) = Default::default();
    for Field { number, value, .. } in fields(body, within) {
        match (number, value) {
            (2, Value::Bytes { inner, .. }) => {
                // Of tokens and a text the last one counts, and several of the same are one.
                if !std::mem::replace(&mut is_tokens, true) {
                    clear(&mut content);
                }
                token_ids(body, inner, &mut content);
            }
            (3, Value::Bytes { inner, .. }) => {
                is_tokens = false;
                clear(&mut content);
                let end = inner.start + text_length(&body[inner.clone()]);
                push(&mut content, inner.start..end);
            }
            (4, Value::Bytes { inner, .. }) => {
                for parameter in fields(body, inner) {
                    if let (8, Value::Varint(limit)) = (parameter.number, parameter.value) {
                        content.max_tokens = Some(limit);
                    }
                }
            }
            (5, Value::Varint(stream)) => content.stream = stream != 0,
            (7, Value::Bytes { inner, .. }) => {
                content.media.clear();
                content.media.push(inner.clone());
                inside(body, inner, 6).for_each(|(hash, _)| push(&mut hashes, hash));
            }
            _ => {}
        }
    }
    // Where their tokens stand is not told apart by the tokens.
    let room = MOST.saturating_sub(content.prompt.len());
    content.prompt.extend(hashes.prompt.into_iter().take(room));
    content
}

fn embed(body: &[u8], within: Range<usize>) -> Content {
    let mut content = Content::default();
    inside(body, within, 2).for_each(|(tokenized, _)| token_ids(body, tokenized, &mut content));
    content
}

/// Appends the token ids of a `TokenizedInput`: packed, or each with its tag, as writers of proto2 have them.
fn token_ids(body: &[u8], within: Range<usize>, content: &mut Content) {
    for Field { number, whole, value } in fields(body, within) {
        match (number, value) {
            (2, Value::Bytes { inner, .. }) => {
                let end = inner.start + whole_varints(body, &inner);
                let is_packed = content.packed_tokens == content.prompt.len();
                push(content, inner.start..end);
                content.packed_tokens = if is_packed { content.prompt.len() } else { content.packed_tokens };
            }
            (2, Value::Varint(_)) => push(content, whole),
            _ => {}
        }
    }
}

/// Appends a part of the prompt, which is one with the last if that ends where it begins.
fn push(content: &mut Content, part: Range<usize>) {
    let is_full = content.prompt.len() >= MOST;
    match content.prompt.last_mut() {
        _ if part.is_empty() => {}
        Some(last) if last.end == part.start => last.end = part.end,
        _ if is_full => {}
        _ => content.prompt.push(part),
    }
}

/// The length of what is UTF-8 at the beginning of `bytes`.
fn text_length(bytes: &[u8]) -> usize {
    simdutf8::compat::from_utf8(bytes).map_or_else(|e| e.valid_up_to(), str::len)
}

/// What the JSON object says that Vertex AI's requests have in their message.
fn wrapped(body: &[u8], within: Range<usize>, format: &Format) -> Content {
    let http_body = inside(body, within, 2).last();
    let data = http_body.and_then(|(http_body, _)| inside(body, http_body, 2).last());
    let Some((data, is_whole)) = data else { return Content::default() };
    let text = &body[data.clone()];
    let content = if is_whole {
        json::content(text, format).unwrap_or_default()
    } else {
        json::beginning(text, format)
    };
    moved(content, data.start)
}

/// `content` of what begins at `by` of the body. Lengths stand before it, so that nothing can be spliced in.
fn moved(mut content: Content, by: usize) -> Content {
    let range = |range: &mut Range<usize>| *range = range.start + by..range.end + by;
    for text in [&mut content.model, &mut content.cache_salt] {
        if let Some(Text::Plain(at)) = text {
            range(at);
        }
    }
    content.prompt.iter_mut().for_each(range);
    content.media.iter_mut().for_each(range);
    content.model_place = ModelPlace::Fixed;
    content
}
