//! What an answer says of its tokens, read while its pieces go by.
//!
//! Model servers write an object `usage`: at the end of a JSON answer, in the last events of a stream, under
//! `response` or `message` in some dialects. So it is found wherever it stands, by its key alone. Within a text
//! (what the model says) its quotes are escaped, and so it is no key. A number that comes again takes the place of
//! the former one: servers count up, and some say those of the prompt first and those of the answer last. Anthropic's
//! dialect splits a prompt into what was read from the cache, what was written to it, and the rest; vLLM says the whole
//! in `message_start`, and its parts in `message_delta`. SGLang's own API has the counts in `meta_info`: of each answer,
//! where it answers several prompts with a list. vLLM's gRPC service has them in its messages.
//!
//! Pieces end anywhere, so what is known between two of them are a few bytes of state and no bytes of the answer.
//! A piece without the key, as nearly all are, costs one search.

mod counts;
mod grpc;
mod object;
mod seek;
#[cfg(test)]
mod tests;

use counts::Counts;
use grpc::{Frames, Method};
use object::Object;
use seek::{Key, Seek};

use crate::metrics::Tokens;

/// Reads an answer for its token counts.
#[derive(Debug)]
pub(super) struct UsageReader(Answer);

/// What is read, by its format.
#[derive(Debug)]
enum Answer {
    Json(Json),
    Grpc(Box<Frames>),
}

impl UsageReader {
    /// For the answer to a request of this path, without its query.
    pub fn of(path: &str) -> Self {
        Self(match path {
            "/generate" => Answer::Json(Json { key: Key::MetaInfo, ..Json::default() }),
            "/vllm.grpc.engine.VllmEngine/Generate" => Answer::Grpc(Box::new(Frames::new(Method::Generate))),
            "/vllm.grpc.engine.VllmEngine/Embed" => Answer::Grpc(Box::new(Frames::new(Method::Embed))),
            _ => Answer::Json(Json::default()),
        })
    }

    /// Whether the answer comes in messages that follow each other, whatever its content type says of events.
    pub fn streams(&self) -> bool {
        matches!(&self.0, Answer::Grpc(frames) if frames.is_stream())
    }

    /// Looks at the next piece.
    pub fn see(&mut self, piece: &[u8]) {
        match &mut self.0 {
            Answer::Json(json) => json.see(piece),
            Answer::Grpc(frames) => frames.see(piece),
        }
    }

    /// What was found, if anything.
    pub fn tokens(&self) -> Option<Tokens> {
        match &self.0 {
            Answer::Json(json) => json.counts.tokens(),
            Answer::Grpc(frames) => frames.counts.tokens(),
        }
    }
}

/// An answer in JSON, or in events of JSON.
#[derive(Debug, Default)]
struct Json {
    key: Key,
    at: At,
    counts: Counts,
    /// Whether it is a list of answers; unknown before its first byte.
    list: Option<bool>,
}

/// Where in the answer the next byte is.
#[derive(Debug)]
enum At {
    /// Anywhere.
    Text(Seek),
    /// Behind the key.
    Key,
    /// Behind the colon after it.
    Colon,
    /// In the object. Boxed, so that the many answers that are not there yet take no memory for it.
    Object(Box<Object>),
}

impl Default for At {
    fn default() -> Self {
        Self::Text(Seek::default())
    }
}

impl Json {
    fn see(&mut self, mut piece: &[u8]) {
        if self.key == Key::MetaInfo && self.list.is_none() {
            self.list = piece.iter().find(|byte| !byte.is_ascii_whitespace()).map(|byte| *byte == b'[');
        }
        while let Some(&byte) = piece.first() {
            let space = byte.is_ascii_whitespace();
            let (next, seen) = match &mut self.at {
                At::Text(seek) => match seek.find(self.key, piece) {
                    Some(seen) => (At::Key, seen),
                    None => return,
                },
                At::Key if byte == b':' => (At::Colon, 1),
                At::Colon if byte == b'{' => {
                    let object = if self.key == Key::MetaInfo { Object::meta() } else { Object::default() };
                    (At::Object(Box::new(object)), 1)
                }
                At::Key | At::Colon if space => {
                    piece = &piece[1..];
                    continue;
                }
                // The key was a value, or its own value is none of ours (`null` in most events).
                At::Key | At::Colon => (At::default(), 0),
                At::Object(object) => match object.read(piece) {
                    Some((seen, counts)) => {
                        if self.list == Some(true) {
                            self.counts.add(counts);
                        } else {
                            self.counts.learn(counts);
                        }
                        (At::default(), seen)
                    }
                    None => return,
                },
            };
            self.at = next;
            piece = &piece[seen..];
        }
    }
}
