//! Messages of gRPC that are compressed, each by itself.

use bytes::Bytes;
use picker_core::parse::coding::{Coding, of_messages};
use picker_core::parse::grpc::{HEAD, frames};
use picker_core::parse::is_grpc;
use picker_core::request::Headers;
use tokio::task::yield_now;

use super::coding::reader;
use super::progress::Progress;
use super::text::{Decoded, most, read};
use crate::exchange::body_budget::BodyShare;
use crate::pool::Limits;

/// The most messages of one body that are read.
const MESSAGES: usize = 64;

/// How the messages of `body` are compressed; `None` where none is that is there, or it is not known.
pub(super) fn coding(headers: &Headers, body: &[u8]) -> Option<Coding> {
    // No JSON begins so, but for that in an encoding of several bytes.
    let is_framed = matches!(body, [0 | 1, ..]) && is_grpc(headers);
    of_messages(headers)?.filter(|_| is_framed && frames(body).any(|frame| frame.compressed))
}

/// `body` with its messages as they were before they were compressed, up to the first one that can't be undone.
pub(super) async fn decode(
    coding: Coding,
    body: &Bytes,
    limits: &Limits,
    held: &mut BodyShare<'_>,
) -> Decoded {
    let (most, mut text) = (most(limits, body), Vec::new());
    let mut partial = false;
    for (n, frame) in frames(body).enumerate() {
        let start = text.len() + HEAD;
        let room = if frame.compressed { HEAD } else { HEAD + frame.message.len() };
        partial = n == MESSAGES || text.len() + room > most || !reserve(&mut text, room, most, held);
        if partial {
            break;
        }
        text.extend_from_slice(&[0; HEAD]);
        let message = body.slice(frame.message);
        partial = !frame.is_whole;
        if frame.compressed {
            let (mut working, progress) = (limits.budget.share(), Progress::default());
            let taken = |bytes| working.take(bytes);
            partial |= match reader(&[coding], message, &progress, most - start, taken).await {
                Some(reader) => read(reader, &progress, most, held, &mut text).await,
                None => true,
            };
        } else {
            text.extend_from_slice(&message);
        }
        // No limit is beyond what four bytes tell.
        let length = u32::try_from(text.len() - start).unwrap_or(u32::MAX);
        text[start - HEAD + 1..start].copy_from_slice(&length.to_be_bytes());
        if partial {
            break;
        }
        yield_now().await;
    }
    Decoded { text: text.into(), partial }
}

/// Makes room for so many more bytes of `most` in all, if there is a place for them in the budget.
fn reserve(text: &mut Vec<u8>, more: usize, most: usize, held: &mut BodyShare<'_>) -> bool {
    let needed = text.len() + more;
    if needed > text.capacity() {
        let capacity = (2 * text.len()).clamp(needed, most);
        if !held.take(capacity - text.capacity()) {
            return false;
        }
        text.reserve_exact(capacity - text.len());
    }
    true
}

#[cfg(test)]
mod tests;
