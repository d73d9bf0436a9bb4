//! How many tokens stand for a video.

use schemars::JsonSchema;
use serde::Deserialize;

use super::image::{Dynamic, Mode, Resolution, or};
use crate::request::Headers;

/// Request header with the frames per second of the request's videos.
const FPS_HEADER: &str = "x-llm-d-video-fps";
/// Request header with the seconds that they last.
const DURATION_HEADER: &str = "x-llm-d-video-duration-seconds";
/// Request header with their width and height.
const RESOLUTION_HEADER: &str = "x-llm-d-video-resolution";

const FACTOR: u64 = 1024;
const DURATION: f64 = 10.0;
const SAMPLE_FPS: f64 = 2.0;
const SOURCE_FPS: f64 = 24.0;

/// What a client says of its videos is believed up to here: a day, a thousand frames a second, and so many lines.
const MOST_SECONDS: f64 = 86_400.0;
const MOST_FPS: f64 = 1000.0;
const MOST_LINES: u64 = 16_384;

/// The number of tokens of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StaticFrame {
    /// Tokens of each frame. Less than 1 counts as 1.
    pub num_tokens_per_frame: i64,
}

/// How the tokens of a frame are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TokensPerFrame {
    /// `dynamic` counts width × height / factor, `static` always `static.numTokensPerFrame`.
    pub mode: Option<Mode>,
    /// For the mode `dynamic`.
    pub dynamic: Option<Dynamic>,
    /// For the mode `static`.
    #[serde(rename = "static")]
    pub fixed: Option<StaticFrame>,
}

/// How frames are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FramesMode {
    /// So many in a second.
    #[default]
    Sampled,
    /// Each so many-th.
    Strided,
}

/// For the mode `sampled`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Sampled {
    /// Frames that the model takes of each second. 0 and less count as 2.
    #[serde(rename = "sampleFPS")]
    pub sample_fps: f64,
    /// So many frames become one. Less than 2 counts as 1.
    pub temporal_patch_size: i64,
}

/// For the mode `strided`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Strided {
    /// Frames per second of videos of which no header says it. 0 and less count as 24.
    #[serde(rename = "defaultSourceFPS")]
    pub default_source_fps: f64,
    /// The model takes each so many-th frame. Less than 1 counts as 1.
    pub frame_stride: i64,
}

/// How the frames of videos are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Frames {
    /// `sampled` counts seconds × `sampled.sampleFPS`, within `minFrames` and `maxFrames`, and divides them by
    /// `sampled.temporalPatchSize`; `strided` counts seconds × frames per second / `strided.frameStride`, within the same
    /// bounds.
    pub mode: Option<FramesMode>,
    /// The fewest frames. 0 and less mean no bound.
    pub min_frames: i64,
    /// The most frames. 0 and less mean no bound.
    pub max_frames: i64,
    /// For the mode `sampled`.
    pub sampled: Option<Sampled>,
    /// For the mode `strided`.
    pub strided: Option<Strided>,
}

/// How the tokens of videos are counted: frames × tokens of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Video {
    /// Tokens of a frame.
    pub tokens_per_frame: Option<TokensPerFrame>,
    /// Frames of a video.
    pub frames: Option<Frames>,
    /// The size of videos of which the header `x-llm-d-video-resolution` does not say it, 640 × 360 where it is absent.
    pub default_resolution: Option<Resolution>,
    /// Seconds that videos last of which the header `x-llm-d-video-duration-seconds` does not say it. 0 and less count as 10.
    pub default_duration: f64,
    /// The most tokens of a video. 0 and less mean no bound.
    pub max_video_tokens: i64,
}

/// What a request's headers say of its videos.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Told {
    fps: Option<f64>,
    seconds: Option<f64>,
    pixels: Option<u64>,
}

impl Told {
    /// What is no number, not more than 0, or too much for a video counts as absent.
    pub fn by(headers: &Headers) -> Self {
        let number = |name, most| {
            let number: f64 = headers.text(name)?.trim().parse().ok()?;
            (number > 0.0 && number <= most).then_some(number)
        };
        let pixels = headers.text(RESOLUTION_HEADER).and_then(|text| {
            let (width, height) = text.split_once(['x', 'X'])?;
            let lines =
                |text: &str| text.trim().parse::<u64>().ok().filter(|lines| (1..=MOST_LINES).contains(lines));
            Some(lines(width)? * lines(height)?)
        });
        Self { fps: number(FPS_HEADER, MOST_FPS), seconds: number(DURATION_HEADER, MOST_SECONDS), pixels }
    }
}

/// `told`, or the first of both numbers that is more than 0.
fn first(told: Option<f64>, configured: f64, default: f64) -> f64 {
    told.unwrap_or(if configured > 0.0 { configured } else { default })
}

impl Video {
    /// Tokens of a video; at least 1.
    pub(super) fn tokens(&self, told: &Told) -> u64 {
        let tokens = self.frames(told).saturating_mul(self.tokens_per_frame(told));
        tokens.min(or(self.max_video_tokens, u64::MAX)).max(1)
    }

    fn frames(&self, told: &Told) -> u64 {
        let frames = self.frames.unwrap_or_default();
        let seconds = first(told.seconds, self.default_duration, DURATION);
        let bounded = |count: u64| count.max(or(frames.min_frames, 0)).min(or(frames.max_frames, u64::MAX));
        match frames.mode.unwrap_or_default() {
            FramesMode::Strided => {
                let strided = frames.strided.unwrap_or_default();
                let fps = first(told.fps, strided.default_source_fps, SOURCE_FPS);
                bounded((seconds * fps) as u64 / or(strided.frame_stride, 1))
            }
            FramesMode::Sampled => {
                let sampled = frames.sampled.unwrap_or_default();
                let fps = first(None, sampled.sample_fps, SAMPLE_FPS);
                bounded((seconds * fps) as u64) / or(sampled.temporal_patch_size, 1)
            }
        }
    }

    fn tokens_per_frame(&self, told: &Told) -> u64 {
        let frame = self.tokens_per_frame.unwrap_or_default();
        if frame.mode == Some(Mode::Static) {
            return or(frame.fixed.unwrap_or_default().num_tokens_per_frame, 1);
        }
        let default = || self.default_resolution.unwrap_or_default().pixels();
        let factor = or(frame.dynamic.unwrap_or_default().factor, FACTOR);
        (told.pixels.unwrap_or_else(default) / factor).max(1)
    }
}
