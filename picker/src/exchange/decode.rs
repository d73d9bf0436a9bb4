//! The text of a request body that came in another form than plugins read: compressed, as a whole or each of its gRPC messages,
//! or in UTF-16 or UTF-32. It is for the decision alone; the body goes on to the server as it came.
//!
//! A text is made a part at a time, so that other exchanges have their turn however little comes out of what is read, and
//! counts in the budget of bodies. What a client can make of few bytes is bounded: by the limit of bodies, by [`text::RATIO`], by the memory
//! that decompression may take, and by how much may be read without anything coming out ([`Progress`]). A text that comes
//! to such a bound is the beginning of the body.

use bytes::Bytes;
use picker_core::parse::coding::codings;
use picker_core::parse::wide::{Transcoder, Wide};
use picker_core::parse::{is_form, is_json};
use picker_core::request::Headers;
use tokio::task::yield_now;

use super::body_budget::BodyShare;
use crate::pool::Limits;

mod coding;
mod messages;
mod progress;
#[cfg(test)]
mod tests;
mod text;
mod zstd;

pub use text::Decoded;

use progress::Progress;
use text::{most, read};

/// Whether plugins can't read `body` as it came, and [`decode`] may make a text of it.
pub fn is_needed(headers: &Headers, body: &[u8]) -> bool {
    let encoded = headers.get("content-encoding").is_some() && !body.is_empty();
    if encoded {
        codings(headers).is_some_and(|codings| !codings.is_empty()) && may_be_read(headers)
    } else {
        messages::coding(headers, body).is_some() || Wide::of(body).is_some() && is_json(headers)
    }
}

fn may_be_read(headers: &Headers) -> bool {
    let kind = headers.get("content-type").map(|kind| kind.to_ascii_lowercase());
    is_json(headers)
        || is_form(headers)
        || kind.is_none_or(|kind| kind.is_empty() || kind.starts_with(b"text/"))
}

/// The text of `body`, for whose bytes `held` takes places in the budget too.
pub async fn decode(headers: &Headers, body: &Bytes, limits: &Limits, held: &mut BodyShare<'_>) -> Decoded {
    if let Some(coding) = messages::coding(headers, body) {
        return messages::decode(coding, body, limits, held).await;
    }
    let nothing = Decoded { text: Bytes::new(), partial: true };
    let Some(codings) = codings(headers) else { return nothing };
    let unpacked = if codings.is_empty() {
        Decoded { text: body.clone(), partial: false }
    } else {
        // What decompression takes besides is given back when it ends.
        let mut working = limits.budget.share();
        let most = most(limits, body);
        let progress = Progress::default();
        match coding::reader(&codings, body.clone(), &progress, most, |bytes| working.take(bytes)).await {
            Some(reader) => {
                let mut text = Vec::new();
                let partial = read(reader, &progress, most, held, &mut text).await;
                Decoded { text: text.into(), partial }
            }
            None => return nothing,
        }
    };
    match Wide::of(&unpacked.text) {
        Some(wide) if is_json(headers) => match transcoded(wide, &unpacked.text, held).await {
            Some(text) => Decoded { text, partial: unpacked.partial },
            None => nothing,
        },
        _ => unpacked,
    }
}

/// `text` in UTF-8; `None` when there is no place for it.
async fn transcoded(wide: Wide, text: &[u8], held: &mut BodyShare<'_>) -> Option<Bytes> {
    let longest = wide.longest(text.len());
    if !held.take(longest) {
        return None;
    }
    let mut out = String::with_capacity(longest);
    let mut transcoder = Transcoder::new(wide, text);
    while transcoder.step(&mut out) {
        yield_now().await;
    }
    Some(out.into())
}
