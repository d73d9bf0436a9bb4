//! What is made of a body, and how it is read: a part at a time, and no more than may be made of it.

use std::io::{BufRead, Read};

use bytes::Bytes;
use tokio::task::yield_now;

use super::progress::{Progress, is_pause};
use crate::exchange::body_budget::BodyShare;
use crate::pool::Limits;

/// The most bytes of text that are made for each byte of a body, where they are more than [`AMPLE`].
pub(super) const RATIO: usize = 128;
/// So many bytes of text are made of any body.
pub(super) const AMPLE: usize = 1 << 20;
/// Bytes of text that are made at a time.
pub(super) const STEP: usize = 64 << 10;

/// A text that was made of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// In UTF-8, as far as the body is text; empty when nothing could be made of it.
    pub text: Bytes,
    /// Whether it is the beginning alone, or nothing.
    pub partial: bool,
}

/// The most bytes of text that are made of `body`.
pub(super) fn most(limits: &Limits, body: &Bytes) -> usize {
    limits.max_body.min(body.len().saturating_mul(RATIO).max(AMPLE))
}

/// Appends what is read to `text`, until that has `most` bytes. Returns whether there would be more.
pub(super) async fn read(
    mut reader: Box<dyn BufRead + Send>,
    progress: &Progress,
    most: usize,
    held: &mut BodyShare<'_>,
    text: &mut Vec<u8>,
) -> bool {
    loop {
        let length = text.len();
        let room = STEP.min(most.saturating_sub(length));
        if room == 0 {
            // There may be nothing more.
            match reader.fill_buf() {
                Err(error) if is_pause(&error) => {
                    yield_now().await;
                    continue;
                }
                rest => return !matches!(rest, Ok([])),
            }
        }
        if text.capacity() < length + room {
            let capacity = (2 * length).clamp(length + room, most);
            if !held.take(capacity - text.capacity()) {
                return true;
            }
            text.reserve_exact(capacity - length);
        }
        // A broken or cut body gives what comes before the break.
        let ended = match reader.by_ref().take(room as u64).read_to_end(text) {
            Ok(read) => read < room,
            Err(error) if is_pause(&error) => false,
            Err(_) => return true,
        };
        progress.made(text.len() - length);
        if ended {
            return false;
        }
        yield_now().await;
    }
}
