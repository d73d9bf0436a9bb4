//! The text of a request body that came in another form than plugins read: compressed, or in UTF-16 or UTF-32. It is for
//! the decision alone; the body goes on to the server as it came.
//!
//! A text is made a part at a time, so that other exchanges have their turn however little comes out of what is read, and
//! counts in the budget of bodies. What a client can make of few bytes is bounded: by the limit of bodies, by [`RATIO`], by the memory
//! that decompression may take, and by how much may be read without anything coming out ([`Progress`]). A text that comes
//! to such a bound is the beginning of the body.

use std::io::{BufRead, Read};

use bytes::Bytes;
use picker_core::parse::coding::codings;
use picker_core::parse::is_json;
use picker_core::parse::wide::{Transcoder, Wide};
use picker_core::request::Headers;
use tokio::task::yield_now;

use super::body_budget::BodyShare;
use crate::pool::Limits;

mod coding;
mod progress;
#[cfg(test)]
mod tests;
mod zstd;

use progress::{Progress, is_pause};

/// The most bytes of text that are made for each byte of a body, where they are more than [`AMPLE`].
const RATIO: usize = 128;
/// So many bytes of text are made of any body.
const AMPLE: usize = 1 << 20;
/// Bytes of text that are made at a time.
const STEP: usize = 64 << 10;

/// A text that was made of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// In UTF-8, as far as the body is text; empty when nothing could be made of it.
    pub text: Bytes,
    /// Whether it is the beginning alone, or nothing.
    pub partial: bool,
}

/// Whether plugins can't read `body` as it came, and [`decode`] may make a text of it.
pub fn is_needed(headers: &Headers, body: &[u8]) -> bool {
    let encoded = headers.get("content-encoding").is_some() && !body.is_empty();
    if encoded {
        codings(headers).is_some_and(|codings| !codings.is_empty()) && may_be_json(headers)
    } else {
        Wide::of(body).is_some() && is_json(headers)
    }
}

fn may_be_json(headers: &Headers) -> bool {
    let kind = headers.get("content-type").map(|kind| kind.to_ascii_lowercase());
    is_json(headers) || kind.is_none_or(|kind| kind.is_empty() || kind.starts_with(b"text/"))
}

/// The text of `body`, for whose bytes `held` takes places in the budget too.
pub async fn decode(headers: &Headers, body: &Bytes, limits: &Limits, held: &mut BodyShare<'_>) -> Decoded {
    let nothing = Decoded { text: Bytes::new(), partial: true };
    let Some(codings) = codings(headers) else { return nothing };
    let unpacked = if codings.is_empty() {
        Decoded { text: body.clone(), partial: false }
    } else {
        // What decompression takes besides is given back when it ends.
        let mut working = limits.budget.share();
        let most = limits.max_body.min(body.len().saturating_mul(RATIO).max(AMPLE));
        let progress = Progress::default();
        match coding::reader(&codings, body.clone(), &progress, most, |bytes| working.take(bytes)).await {
            Some(reader) => read(reader, &progress, most, held).await,
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

/// Reads up to `most` bytes.
async fn read(
    mut reader: Box<dyn BufRead + Send>,
    progress: &Progress,
    most: usize,
    held: &mut BodyShare<'_>,
) -> Decoded {
    let mut text = Vec::new();
    let partial = loop {
        let length = text.len();
        let room = STEP.min(most - length);
        if room == 0 {
            // There may be nothing more.
            match reader.fill_buf() {
                Err(error) if is_pause(&error) => {
                    yield_now().await;
                    continue;
                }
                rest => break !matches!(rest, Ok([])),
            }
        }
        if text.capacity() < length + room {
            let capacity = (2 * length).clamp(length + room, most);
            if !held.take(capacity - text.capacity()) {
                break true;
            }
            text.reserve_exact(capacity - length);
        }
        // A broken or cut body gives what comes before the break.
        let ended = match reader.by_ref().take(room as u64).read_to_end(&mut text) {
            Ok(read) => read < room,
            Err(error) if is_pause(&error) => false,
            Err(_) => break true,
        };
        progress.made(text.len() - length);
        if ended {
            break false;
        }
        yield_now().await;
    };
    Decoded { text: text.into(), partial }
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
