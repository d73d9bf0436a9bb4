//! The answer of a render server: the tokens of a prompt.

use std::collections::BTreeMap;

use memchr::{memchr, memchr2};
use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::fact::{Finding, MediaItem, PromptTokens, Slot};
use crate::http::Answer;
use crate::parse::media::MediaKind;

#[cfg(test)]
mod tests;

/// The longest string that is kept: what is longer are the pixels of images, which nobody here reads.
const LONGEST: usize = 256;

/// The most bytes of tokens, and the most images, audio and video, that are kept of an answer.
const MOST_BYTES: usize = 4 << 20;
const MOST_MEDIA: usize = 1024;

/// An answer that is being read: its JSON text, with nothing in the place of long strings.
pub(in crate::plugins) struct Rendered {
    slot: Slot<PromptTokens>,
    text: Vec<u8>,
    /// Within a string: where it begins in the text.
    string: Option<usize>,
    /// Whether it is too long.
    is_long: bool,
    /// Whether the last byte was a backslash in a string.
    escaped: bool,
}

impl Rendered {
    /// Reads what is found for `slot`.
    pub fn new(slot: Slot<PromptTokens>) -> Self {
        Self { slot, text: Vec::new(), string: None, is_long: false, escaped: false }
    }

    /// Takes a part of the string that begins in the text at `start`.
    fn keep(&mut self, start: usize, part: &[u8]) {
        if !self.is_long && self.text.len() - start + part.len() > LONGEST {
            self.text.truncate(start);
            self.is_long = true;
        }
        if !self.is_long {
            self.text.extend_from_slice(part);
        }
    }

    /// The tokens that it says.
    fn tokens(&self) -> Option<PromptTokens> {
        let is_list = self.text.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[');
        let prompts: Vec<Prompt> = if is_list {
            serde_json::from_slice(&self.text).ok()?
        } else {
            vec![serde_json::from_slice(&self.text).ok()?]
        };
        let mut tokens = PromptTokens { exact: true, ..PromptTokens::default() };
        for prompt in &prompts {
            prompt.append_to(&mut tokens);
        }
        tokens.count.is_some_and(|count| count > 0).then_some(tokens)
    }
}

impl Answer for Rendered {
    fn feed(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let Some(start) = self.string else {
                let end = memchr(b'"', piece).map_or(piece.len(), |at| at + 1);
                self.text.extend_from_slice(&piece[..end]);
                self.string = piece[..end].ends_with(b"\"").then_some(self.text.len());
                self.is_long = false;
                piece = &piece[end..];
                continue;
            };
            let end = if std::mem::take(&mut self.escaped) {
                1
            } else {
                let plain = memchr2(b'"', b'\\', piece).unwrap_or(piece.len());
                match piece.get(plain) {
                    Some(b'"') => {
                        self.keep(start, &piece[..plain]);
                        self.text.push(b'"');
                        self.string = None;
                        piece = &piece[plain + 1..];
                        continue;
                    }
                    Some(_) => {
                        self.escaped = true;
                        plain + 1
                    }
                    None => plain,
                }
            };
            self.keep(start, &piece[..end]);
            piece = &piece[end..];
        }
    }

    fn held(&self) -> usize {
        // With the tokens that are made of it: each has a digit and a comma at least.
        3 * self.text.len()
    }

    fn finish(self: Box<Self>) -> Option<Finding> {
        Some(self.slot.found(self.tokens()?))
    }
}

/// A prompt, as vLLM's render server answers (`GenerateRequest`).
#[derive(Deserialize)]
struct Prompt {
    token_ids: Vec<u32>,
    features: Option<Features>,
}

#[derive(Deserialize)]
struct Features {
    #[serde(default)]
    mm_hashes: BTreeMap<String, Vec<Option<String>>>,
    #[serde(default)]
    mm_placeholders: BTreeMap<String, Vec<Placeholder>>,
}

#[derive(Clone, Copy, Deserialize)]
struct Placeholder {
    offset: usize,
    length: usize,
}

impl Prompt {
    fn append_to(&self, tokens: &mut PromptTokens) {
        tokens.count = Some(tokens.count.unwrap_or(0) + self.token_ids.len() as u64);
        let begin = tokens.bytes.len();
        let room = MOST_BYTES.saturating_sub(begin) / 4;
        tokens.bytes.extend(self.token_ids.iter().take(room).flat_map(|id| id.to_le_bytes()));
        let mut media: Vec<_> = self.media().take(MOST_MEDIA - tokens.media.len().min(MOST_MEDIA)).collect();
        media.sort_by_key(|(place, _)| place.offset);
        let mut end = 0;
        for (Placeholder { offset, length }, item) in media {
            // Such are none of vLLM's, and each would be written again and again.
            if offset < end || offset >= self.token_ids.len() {
                continue;
            }
            let length = length.min(self.token_ids.len() - offset);
            end = offset + length;
            // The same token stands for all images: prompts with others are others.
            let places = tokens.bytes[begin..].chunks_exact_mut(4).skip(offset).take(length);
            places.for_each(|place| place.copy_from_slice(&(item.hash as u32).to_le_bytes()));
            tokens.media.push(MediaItem { tokens: length as u64, ..item });
        }
    }

    fn media(&self) -> impl Iterator<Item = (Placeholder, MediaItem)> + '_ {
        self.features.iter().flat_map(|features| {
            features.mm_hashes.iter().flat_map(|(modality, hashes)| {
                let kind = match modality.as_str() {
                    "audio" => MediaKind::Audio,
                    "video" => MediaKind::Video,
                    _ => MediaKind::Image,
                };
                let places = features.mm_placeholders.get(modality).map_or(&[][..], Vec::as_slice);
                hashes.iter().zip(places).filter_map(move |(hash, place)| {
                    let hash = xxh3_64(hash.as_ref().filter(|hash| !hash.is_empty())?.as_bytes());
                    Some((*place, MediaItem { kind, hash, tokens: place.length as u64 }))
                })
            })
        })
    }
}
