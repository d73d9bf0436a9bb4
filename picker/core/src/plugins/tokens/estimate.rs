//! The estimate of a prompt's tokens: four bytes of its text each, and so many for each image, sound and video.

use std::borrow::Cow;
use std::ops::Range;

use schemars::JsonSchema;
use serde::Deserialize;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::image::{Image, known_pixels, without_escapes};
use super::video::{Told, Video};
use crate::fact::{MediaItem, PromptTokens};
use crate::parse::media::{Media, MediaKind, media};
use crate::request::{BYTES_PER_TOKEN, Request};

#[cfg(test)]
mod tests;

/// Bytes of a token.
const BYTES: usize = BYTES_PER_TOKEN as usize;

/// The most tokens of all that is no text in a request: what its headers and addresses say of it costs a client nothing.
const MOST_MEDIA_TOKENS: u64 = 1 << 17;

/// How often the token of one item is repeated at most, and those of all of a request: it is compared with other prompts.
const MOST_REPEATS: usize = 4096;
const MOST_ALL_REPEATS: usize = 4 * MOST_REPEATS;

/// The most bytes that stand for a prompt: no more of it is compared with others.
const MOST_BYTES: usize = 4 << 20;

/// How tokens are estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Estimate {
    /// Images.
    image: Option<Image>,
    /// Videos.
    video: Option<Video>,
}

impl Estimate {
    /// Counts the tokens of `request` in `tokens`, which are empty.
    pub fn count(&self, request: &Request, tokens: &mut PromptTokens) {
        if given(request, tokens) {
            return;
        }
        if !request.is_multimodal() {
            tokens.count = Some(request.estimated_prompt_tokens());
            return;
        }
        let media = media(request);
        let told = Told::by(&request.headers);
        let mut writer =
            Writer { tokens, text: 0, count: 0, left: MOST_MEDIA_TOKENS, repeats: MOST_ALL_REPEATS };
        for range in &request.content.prompt {
            let within =
                media.iter().find(|media| (media.part.start + 1..media.part.end).contains(&range.start));
            let mut at = within.map_or(range.start, |media| media.part.end);
            for media in media.iter().filter(|media| range.contains(&media.part.start)) {
                writer.text(request, at..media.part.start);
                writer.media(self.item(request, media, &told));
                at = media.part.end;
            }
            writer.text(request, at..range.end);
        }
        writer.align();
        tokens.count = Some(writer.count);
    }

    fn item(&self, request: &Request, media: &Media, told: &Told) -> MediaItem {
        let Media { kind, content, escapes, bare, format, .. } = media;
        let content = &request.body[content.clone()];
        let format = &request.body[format.clone()];
        let clean = if *escapes { without_escapes(content) } else { Cow::Borrowed(content) };
        let tokens = match kind {
            MediaKind::Image => self.image.unwrap_or_default().tokens(|| known_pixels(&clean, *bare)),
            MediaKind::Video => self.video.unwrap_or_default().tokens(told),
            // A sound that is elsewhere may be of any length.
            MediaKind::Audio if *bare => ((content.len() + format.len()).div_ceil(BYTES) as u64).max(1),
            MediaKind::Audio => 1,
        };
        let hash = xxh3_64(&clean);
        let hash = if format.is_empty() { hash } else { xxh3_64_with_seed(format, hash) };
        MediaItem { kind: *kind, hash, tokens }
    }
}

/// Writes the tokens that stand for a prompt.
struct Writer<'a> {
    tokens: &'a mut PromptTokens,
    /// Bytes of text since the last item.
    text: usize,
    count: u64,
    /// Tokens that further items may have.
    left: u64,
    /// How many more tokens of items are written.
    repeats: usize,
}

impl Writer<'_> {
    fn text(&mut self, request: &Request, range: Range<usize>) {
        let Some(text) = request.body.get(range) else { return };
        self.text += text.len();
        let room = MOST_BYTES.saturating_sub(self.tokens.bytes.len());
        self.tokens.bytes.extend_from_slice(&text[..text.len().min(room)]);
    }

    /// Ends the token that has begun, so that what comes next begins one.
    fn align(&mut self) {
        self.count += self.text.div_ceil(BYTES) as u64;
        self.text = 0;
        let length = self.tokens.bytes.len().next_multiple_of(BYTES);
        self.tokens.bytes.resize(length, 0);
    }

    fn media(&mut self, item: MediaItem) {
        self.align();
        let item = MediaItem { tokens: item.tokens.min(self.left), ..item };
        self.left -= item.tokens;
        self.count += item.tokens;
        self.tokens.media.push(item);
        let room = MOST_BYTES.saturating_sub(self.tokens.bytes.len()) / BYTES;
        let repeats = room.min(item.tokens as usize).min(MOST_REPEATS).min(self.repeats);
        self.repeats -= repeats;
        let token = (item.hash as u32).to_le_bytes();
        for _ in 0..repeats {
            self.tokens.bytes.extend_from_slice(&token);
        }
    }
}

/// The prompt of `request` if it is a list of the numbers of tokens, or several.
pub(in crate::plugins) fn numbers(request: &Request) -> Option<&[u8]> {
    let [range] = &request.content.prompt[..] else { return None };
    let (before, prompt) = (&request.body[..range.start], &request.body[range.clone()]);
    let begins = !before.ends_with(b"\"") && prompt.first().is_some_and(|b| b.is_ascii_digit() || *b == b'[');
    (begins && prompt.iter().all(|b| b.is_ascii_digit() || b", \t\r\n[]".contains(b))).then_some(prompt)
}

/// Takes the tokens that the client gives as Protocol Buffers pack them. What comes behind them are names of images, audio and
/// video, which tell prompts apart that have the same tokens.
fn packed(request: &Request, tokens: &mut PromptTokens) {
    let (mut count, mut number, mut shift) = (0, 0_u32, 0_u32);
    for part in request.prompt().take(request.content.packed_tokens) {
        for byte in part {
            // Numbers beyond 32 bits are none of tokens.
            number |= u32::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            shift = shift.saturating_add(7);
            if *byte < 0x80 {
                count += 1;
                if tokens.bytes.len() < MOST_BYTES {
                    tokens.bytes.extend_from_slice(&number.to_le_bytes());
                }
                (number, shift) = (0, 0);
            }
        }
    }
    for name in request.prompt().skip(request.content.packed_tokens) {
        tokens.bytes.extend_from_slice(&xxh3_64(name).to_le_bytes());
    }
    (tokens.count, tokens.exact) = (Some(count), true);
}

/// Takes the tokens that the client gives in the place of a text; whether it does.
fn given(request: &Request, tokens: &mut PromptTokens) -> bool {
    if request.content.packed_tokens > 0 {
        packed(request, tokens);
        return true;
    }
    let Some(prompt) = numbers(request) else { return false };
    let mut count = 0;
    for digits in prompt.split(|b| !b.is_ascii_digit()).filter(|digits| !digits.is_empty()) {
        count += 1;
        if tokens.bytes.len() < MOST_BYTES {
            let number =
                digits.iter().fold(0_u32, |sum, b| sum.wrapping_mul(10).wrapping_add((b - b'0').into()));
            tokens.bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
    (tokens.count, tokens.exact) = (Some(count), true);
    true
}
