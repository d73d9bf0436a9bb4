//! Images, audio and video in the prompts of requests: where they stand in a body, and what stands for them there.

use std::ops::Range;

use smallvec::SmallVec;

use super::scan::{Kind, Value, elements, fields};
use crate::request::Request;

#[cfg(test)]
mod tests;

/// The kind of a part of a prompt that is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// An image.
    Image,
    /// A sound.
    Audio,
    /// A video.
    Video,
}

/// A part of a prompt that is no text. Ranges are positions in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// What it is.
    pub kind: MediaKind,
    /// All of the content part, as JSON.
    pub part: Range<usize>,
    /// What tells it apart from others: the text of its URL, of its data, or of its `uuid`, as it stands in the body.
    pub content: Range<usize>,
    /// Whether that text has escapes.
    pub escapes: bool,
    /// Whether it is base64 without the beginning of a data URL.
    pub bare: bool,
    /// The name of the data's format, where it is told beside it.
    pub format: Range<usize>,
}

/// The most of a prompt that are told apart; what comes after them counts as text.
const MOST: usize = 1024;

/// Levels of lists in which parts are looked for: messages, their content, and the content of a tool's result.
const DEPTH: u32 = 4;

/// The media of a request's prompt, in the order in which they stand there.
pub type AllMedia = SmallVec<[Media; 4]>;

/// The media of `request`'s prompt, the first ones of very many. Those without a URL, data or `uuid` are left out: no server has anything of them.
pub fn media(request: &Request) -> AllMedia {
    let mut found = AllMedia::new();
    for inner in &request.content.media {
        list(&request.body, inner.clone(), DEPTH, &mut found);
    }
    found
}

fn list(bytes: &[u8], inner: Range<usize>, depth: u32, found: &mut AllMedia) {
    for (_, whole) in elements(bytes, inner).filter(|(value, _)| value.kind == Kind::Object && value.media) {
        if found.len() >= MOST {
            return;
        }
        object(bytes, whole, depth - 1, found);
    }
}

/// Looks for media in an object that has some: it is a part itself, or has a list of them.
fn object(bytes: &[u8], whole: Range<usize>, depth: u32, found: &mut AllMedia) {
    let mut part = Part::default();
    let mut lists: SmallVec<[Range<usize>; 1]> = SmallVec::new();
    for (name, value) in fields(bytes, whole.clone()) {
        match (name, value.kind) {
            (b"type", Kind::String { .. }) => part.kind = kind(&bytes[value.inner.clone()]),
            (_, Kind::Array) if value.media => lists.push(value.inner),
            _ => part.field(bytes, name, value),
        }
    }
    match part.kind {
        Some(kind) => found.extend(part.finish(kind, whole)),
        None if depth > 0 => lists.into_iter().for_each(|inner| list(bytes, inner, depth, found)),
        None => {}
    }
}

/// The kind of the content parts whose `type` is `text`.
fn kind(text: &[u8]) -> Option<MediaKind> {
    let text = text.strip_prefix(b"input_").unwrap_or(text);
    let kinds =
        [(&b"image"[..], MediaKind::Image), (b"audio", MediaKind::Audio), (b"video", MediaKind::Video)];
    kinds.into_iter().find_map(|(begin, kind)| {
        let rest = text.strip_prefix(begin)?;
        [&b""[..], b"_url", b"_embeds"].contains(&rest).then_some(kind)
    })
}

/// What is known of a content part.
#[derive(Default)]
struct Part {
    kind: Option<MediaKind>,
    content: Option<(Range<usize>, bool)>,
    uuid: Option<(Range<usize>, bool)>,
    bare: bool,
    format: Range<usize>,
}

impl Part {
    fn field(&mut self, bytes: &[u8], name: &[u8], value: Value) {
        let escapes = match value.kind {
            Kind::String { escapes } => Some(escapes),
            _ => None,
        };
        match (name, escapes) {
            (b"uuid", Some(escapes)) => self.uuid = Some((value.inner, escapes)),
            // As OpenAI's Responses API and vLLM have them.
            (
                b"image_url" | b"audio_url" | b"video_url" | b"image_embeds" | b"audio_embeds",
                Some(escapes),
            ) => {
                self.content = Some((value.inner, escapes));
            }
            (
                b"image_url" | b"audio_url" | b"video_url" | b"input_audio" | b"source" | b"image_embeds"
                | b"audio_embeds",
                None,
            ) if value.kind == Kind::Object => self.source(bytes, value.inner),
            _ => {}
        }
    }

    /// Where it comes from, as an object.
    fn source(&mut self, bytes: &[u8], whole: Range<usize>) {
        for (name, value) in fields(bytes, whole) {
            let Kind::String { escapes } = value.kind else { continue };
            match name {
                b"url" if !value.inner.is_empty() => {
                    (self.content, self.bare) = (Some((value.inner, escapes)), false);
                }
                b"data" if self.content.is_none() => {
                    (self.content, self.bare) = (Some((value.inner, escapes)), true);
                }
                b"format" => self.format = value.inner,
                _ => {}
            }
        }
    }

    fn finish(self, kind: MediaKind, part: Range<usize>) -> Option<Media> {
        let content = self.content.filter(|(content, _)| !content.is_empty());
        let bare = self.bare && content.is_some();
        let (content, escapes) = content.or(self.uuid.filter(|(uuid, _)| !uuid.is_empty()))?;
        Some(Media { kind, part, content, escapes, bare, format: self.format })
    }
}
