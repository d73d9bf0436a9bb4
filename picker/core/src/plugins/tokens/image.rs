//! How many tokens stand for an image.

use std::borrow::Cow;

use memchr::memmem;
use schemars::JsonSchema;
use serde::Deserialize;

use super::dimensions::pixels;

/// Pixels of an image of unknown size, 640 × 360.
const PIXELS: u64 = 640 * 360;
/// Pixels for each token.
const FACTOR: u64 = 1024;

/// How the tokens of something are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// By its pixels.
    #[default]
    Dynamic,
    /// Always the same number.
    Static,
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Resolution {
    /// Pixels of a line. 0 and less count as 640.
    pub width: i64,
    /// Lines. 0 and less count as 360.
    pub height: i64,
}

impl Resolution {
    /// Pixels of the whole, where width and height are given, and else those of 640 × 360.
    pub fn pixels(self) -> u64 {
        let or =
            |value: i64, default| u64::try_from(value).ok().filter(|value| *value > 0).unwrap_or(default);
        or(self.width, 640).saturating_mul(or(self.height, 360))
    }
}

/// `value` if it is more than 0, or else `default`.
pub(super) fn or(value: i64, default: u64) -> u64 {
    u64::try_from(value).ok().filter(|value| *value > 0).unwrap_or(default)
}

/// The number of pixels for each token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Dynamic {
    /// Pixels for each token. 0 and less count as 1024.
    pub factor: i64,
}

/// The number of tokens of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StaticImage {
    /// Tokens of each image. Less than 1 counts as 1.
    pub static_token: i64,
}

/// How the tokens of images are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Image {
    /// `dynamic` counts width × height / factor, of an image whose size is not known that of `defaultResolution`; `static`
    /// always `static.staticToken`. The size of a PNG, JPEG or GIF within the request is read from it.
    pub mode: Option<Mode>,
    /// The size of images whose own is not known, 640 × 360 where it is absent.
    pub default_resolution: Option<Resolution>,
    /// For the mode `dynamic`.
    pub dynamic: Option<Dynamic>,
    /// For the mode `static`.
    #[serde(rename = "static")]
    pub fixed: Option<StaticImage>,
}

impl Image {
    /// Tokens of an image with so many pixels, if that is known; at least 1.
    pub fn tokens(&self, known: impl FnOnce() -> Option<u64>) -> u64 {
        if self.mode == Some(Mode::Static) {
            return or(self.fixed.unwrap_or_default().static_token, 1);
        }
        let default = || self.default_resolution.map_or(PIXELS, Resolution::pixels);
        let factor = or(self.dynamic.unwrap_or_default().factor, FACTOR);
        (known().unwrap_or_else(default) / factor).max(1)
    }
}

/// Pixels of the image that `content` is: a data URL, or base64 if it is `bare`. `None` for an image that is elsewhere.
pub(super) fn known_pixels(content: &[u8], bare: bool) -> Option<u64> {
    if bare {
        return pixels(content);
    }
    let rest = content.strip_prefix(b"data:image/")?;
    pixels(&rest[memmem::find(rest, b"base64,")? + b"base64,".len()..])
}

/// The inside of a JSON string that is a URL or base64: some encoders put a backslash before each slash. What has other
/// escapes is neither, and the same text for the same one.
pub(super) fn without_escapes(text: &[u8]) -> Cow<'_, [u8]> {
    let mut clean = Vec::with_capacity(text.len());
    for piece in text.split_inclusive(|byte| *byte == b'\\') {
        clean.extend_from_slice(piece.strip_suffix(b"\\").unwrap_or(piece));
    }
    Cow::Owned(clean)
}
