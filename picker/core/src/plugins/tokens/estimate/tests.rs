use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::parse::tests::wire::varint;
use crate::request::{Content, Headers};

const PATH: &str = "/v1/chat/completions";

/// A PNG of this size, as far as it is looked at.
fn png(width: u32, height: u32) -> String {
    let head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    let rest = [8, 6, 0, 0, 0, 0, 0, 0, 0];
    STANDARD.encode([&head[..], &width.to_be_bytes(), &height.to_be_bytes(), &rest].concat())
}

fn data_url(width: u32, height: u32) -> String {
    format!("data:image/png;base64,{}", png(width, height))
}

fn image(url: &str) -> Value {
    json!({"type": "image_url", "image_url": {"url": url}})
}

fn video() -> Value {
    json!({"type": "video_url", "video_url": {"url": "https://example.com/clip.mp4"}})
}

fn chat(parts: &Value) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": parts}]})
}

fn request(path: &str, headers: &[(&str, &str)], body: &str) -> Request {
    let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let usual = [(":path", path), ("content-type", "application/json")];
    let headers = usual.iter().chain(headers).map(|(name, value)| (text(name), text(value))).collect();
    Request::new(Headers(headers), text(body)).unwrap()
}

fn estimated(parameters: Value, request: &Request) -> PromptTokens {
    let estimate: Estimate = serde_json::from_value(parameters).unwrap();
    let mut tokens = PromptTokens::default();
    estimate.count(request, &mut tokens);
    tokens
}

/// Kinds and tokens of the media of a chat with these parts.
fn media_of(parameters: Value, headers: &[(&str, &str)], parts: Value) -> Vec<(MediaKind, u64)> {
    let tokens = estimated(parameters, &request(PATH, headers, &chat(&parts).to_string()));
    tokens.media.iter().map(|item| (item.kind, item.tokens)).collect()
}

/// Tokens of one image or video.
fn one(parameters: Value, headers: &[(&str, &str)], part: Value) -> u64 {
    media_of(parameters, headers, json!([part]))[0].1
}

/// Numbers of llm-d's own tests, release 0.10 (`estimate_test.go`).
#[test]
fn images_count_as_published() {
    let (small, far) = (data_url(64, 32), "https://example.com/a.png");
    for (parameters, url, tokens) in [
        (json!({}), &*small, 2),
        (json!({}), far, 225),
        (json!({"image": {}}), far, 225),
        (json!({"image": {"mode": "static", "static": {"staticToken": 7}}}), &*small, 7),
        (json!({"image": {"mode": "static", "static": {"staticToken": 0}}}), far, 1),
        (json!({"image": {"mode": "static"}}), far, 1),
        (json!({"image": {"dynamic": {"factor": 2048}}}), far, 112),
        (json!({"image": {"dynamic": {"factor": -1}}}), far, 225),
        (
            json!({"image": {"mode": "dynamic", "defaultResolution": {"width": 1024, "height": 1024}}}),
            far,
            1024,
        ),
        (json!({"image": {"defaultResolution": {"width": 1024, "height": 1024}}}), &*small, 2),
        (json!({"image": {"defaultResolution": {"width": 0, "height": 720}}}), far, 450),
        (json!({"image": {"dynamic": {"factor": 1_000_000}}}), &*small, 1),
    ] {
        assert_eq!(one(parameters.clone(), &[], image(url)), tokens, "{parameters} {url}");
    }
}

#[test]
fn videos_count_as_published() {
    let qwen = json!({"video": {
        "defaultResolution": {"width": 640, "height": 480}, "defaultDuration": 10,
        "tokensPerFrame": {"mode": "dynamic", "dynamic": {"factor": 1024}},
        "frames": {"mode": "sampled", "sampled": {"sampleFPS": 2}}, "maxVideoTokens": 100_000,
    }});
    let gemma = json!({"video": {
        "defaultDuration": 10, "tokensPerFrame": {"mode": "static", "static": {"numTokensPerFrame": 256}},
        "frames": {"mode": "strided", "maxFrames": 16, "strided": {"defaultSourceFPS": 24, "frameStride": 4}},
    }});
    let floored = json!({"video": {
        "defaultDuration": 1, "tokensPerFrame": {"mode": "static", "static": {"numTokensPerFrame": 100}},
        "frames": {"mode": "strided", "minFrames": 8, "strided": {"defaultSourceFPS": 24, "frameStride": 4}},
    }});
    let merged = json!({"video": {
        "frames": {"mode": "sampled", "minFrames": 4, "sampled": {"sampleFPS": 2, "temporalPatchSize": 2}},
        "tokensPerFrame": {"mode": "static", "static": {"numTokensPerFrame": 1}},
    }});
    let strided = json!({"video": {
        "frames": {"mode": "strided", "strided": {"frameStride": 2}},
        "tokensPerFrame": {"mode": "static", "static": {"numTokensPerFrame": 1}},
    }});
    let seconds = |seconds| ("x-llm-d-video-duration-seconds", seconds);
    let small = ("x-llm-d-video-resolution", "320x240");
    let fps = ("x-llm-d-video-fps", "30");
    for (parameters, headers, tokens) in [
        (json!({}), vec![], 20 * 225),
        (json!({"video": {"maxVideoTokens": 500}}), vec![], 500),
        (json!({"video": {"maxVideoTokens": 100}}), vec![small, seconds("3")], 100),
        (json!({"video": {"tokensPerFrame": {"dynamic": {"factor": 2048}}}}), vec![], 20 * 112),
        (qwen, vec![], 20 * 300),
        (gemma, vec![], 16 * 256),
        (floored, vec![], 800),
        (merged.clone(), vec![seconds("10")], 10),
        (merged, vec![seconds("1")], 2),
        (json!({}), vec![small, seconds("3")], 6 * 75),
        (strided, vec![seconds("3"), fps], 45),
        // The frames that a model samples are not those of the source.
        (json!({}), vec![seconds("3"), fps], 6 * 225),
        (json!({}), vec![("x-llm-d-video-resolution", " 1280 X 720 ")], 20 * 900),
    ] {
        assert_eq!(one(parameters.clone(), &headers, video()), tokens, "{parameters} {headers:?}");
    }
}

#[test]
fn what_no_video_can_be_counts_as_not_said() {
    let frames = json!({"video": {
        "frames": {"mode": "strided"}, "tokensPerFrame": {"mode": "static", "static": {"numTokensPerFrame": 1}},
    }});
    for fps in ["", "abc", "0", "-1", "inf", "NaN", "1e300", "1001", "\u{fffd}"] {
        assert_eq!(one(frames.clone(), &[("x-llm-d-video-fps", fps)], video()), 240, "{fps}");
    }
    for seconds in ["", "x", "0", "-5", "infinity", "1e9", "86401"] {
        let headers = [("x-llm-d-video-duration-seconds", seconds)];
        assert_eq!(one(json!({}), &headers, video()), 4500, "{seconds}");
    }
    for size in
        ["", "x", "1920x", "x1080", "0x0", "-1x5", "1920", "99999x99999", "18446744073709551616x1", "1x2x3"]
    {
        assert_eq!(one(json!({}), &[("x-llm-d-video-resolution", size)], video()), 4500, "{size}");
    }
    // What is believed has an end too.
    let most = [("x-llm-d-video-resolution", "16384x16384"), ("x-llm-d-video-duration-seconds", "86400")];
    assert_eq!(one(json!({}), &most, video()), MOST_MEDIA_TOKENS);
    assert_eq!(one(json!({}), &[], image(&data_url(u32::MAX, u32::MAX))), 225);
}

#[test]
fn data_within_a_request_counts_by_what_it_is_not_by_its_length() {
    let long = format!("{}{}", data_url(64, 32), "A".repeat(400_000));
    let body = chat(&json!([{"type": "text", "text": "What is it?"}, image(&long)])).to_string();
    let tokens = estimated(json!({}), &request(PATH, &[], &body));
    assert!(tokens.count.unwrap() < 40, "{tokens:?}");
    // As some encoders write it.
    let escaped = body.replace('/', "\\/");
    assert_eq!(estimated(json!({}), &request(PATH, &[], &escaped)).media, tokens.media);
    // A sound counts by its bytes, as llm-d's does; one that is elsewhere has an unknown length.
    let sound = json!({"type": "input_audio", "input_audio": {"data": "AAAAAAAA", "format": "wav"}});
    let elsewhere = json!({"type": "audio_url", "audio_url": {"url": "https://example.com/a.wav"}});
    let kinds = media_of(json!({}), &[], json!([sound, elsewhere, video(), image("a")]));
    use MediaKind::{Audio, Image, Video};
    assert_eq!(kinds, [(Audio, 3), (Audio, 1), (Video, 4500), (Image, 225)]);
}

#[test]
fn media_stand_among_the_tokens_where_they_are_in_the_prompt() {
    let (before, after) = (r#"{"role":"user","content":[{"type":"text","text":"See"},"#, "]}");
    let part = r#"{"type":"image_url","image_url":{"url":"a"}}"#;
    let body = format!(r#"{{"model":"m","messages":[{before}{part}{after}]}}"#);
    let tokens = estimated(
        json!({"image": {"mode": "static", "static": {"staticToken": 3}}}),
        &request(PATH, &[], &body),
    );
    let hash = xxh3_64(b"a");
    let token = (hash as u32).to_le_bytes();
    let padded = |text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let expected = PromptTokens {
        count: Some((before.len().div_ceil(4) + 3 + 1) as u64),
        bytes: [padded(before), token.repeat(3), padded(after)].concat(),
        media: vec![MediaItem { kind: MediaKind::Image, hash, tokens: 3 }],
        exact: false,
    };
    assert_eq!(tokens, expected);
    // Whatever is beside it, the same image is the same; and another one is another.
    let other =
        estimated(json!({}), &request(PATH, &[], &chat(&json!([image("b"), image("a")])).to_string()));
    assert_eq!(other.media.iter().filter(|item| item.hash == hash).count(), 1);
}

#[test]
fn tools_may_come_after_messages_and_parts_may_have_holes() {
    let body = json!({
        "messages": [{"role": "user", "content": [image("a")]}],
        "tools": [{"type": "function", "function": {"name": "f"}}],
    });
    let tokens = estimated(json!({}), &request(PATH, &[], &body.to_string()));
    assert_eq!(tokens.media.len(), 1);
    assert!(tokens.bytes.starts_with(br#"{"type":"function""#), "tools come first in a prompt");
    // What engines leave out of a prompt lies within the part, which stands there once.
    let messages = json!({"messages": [{"role": "user", "content": [
        {"type": "image", "cache_control": {"type": "ephemeral"}, "source": {"type": "base64", "data": png(64, 32)}},
        {"type": "text", "text": "Well?", "cache_control": {"type": "ephemeral"}},
    ]}]});
    let tokens = estimated(json!({}), &request("/v1/messages", &[], &messages.to_string()));
    let media: Vec<_> = tokens.media.iter().map(|item| item.tokens).collect();
    assert_eq!(media, [2]);
    let text = String::from_utf8_lossy(&tokens.bytes);
    assert!(!text.contains("base64") && text.contains("Well?") && !text.contains("cache_control"), "{text}");
}

#[test]
fn text_counts_as_without_it_and_numbers_are_tokens() {
    let text = json!({"prompt": "12345"}).to_string();
    let tokens = estimated(json!({}), &request("/v1/completions", &[], &text));
    assert_eq!(tokens, PromptTokens { count: Some(2), ..PromptTokens::default() });
    let numbers = |body: Value, path| {
        let PromptTokens { count, bytes, exact, .. } =
            estimated(json!({}), &request(path, &[], &body.to_string()));
        let tokens: Vec<_> = bytes.chunks(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
        (count, tokens, exact)
    };
    assert_eq!(
        numbers(json!({"prompt": [11, 22, 33]}), "/v1/completions"),
        (Some(3), vec![11, 22, 33], true)
    );
    assert_eq!(numbers(json!({"input": [[4, 5], [6]]}), "/v1/embeddings"), (Some(3), vec![4, 5, 6], true));
    for prompt in [json!(["5", 7]), json!([5, "7"]), json!([1.5]), json!([-1]), json!(["7 8"])] {
        let (_, tokens, exact) = numbers(json!({"prompt": prompt}), "/v1/completions");
        assert_eq!((tokens, exact), (vec![], false), "{prompt}");
    }
}

/// The same tokens are the same whether they come as JSON or as a message of gRPC.
#[test]
fn tokens_of_protocol_buffers_are_tokens() {
    let ids: [u32; 6] = [0, 1, 127, 128, 151_644, u32::MAX];
    let json = format!("{{\"token_ids\":{ids:?}}}");
    let wanted = estimated(json!({}), &request("/inference/v1/generate", &[], &json));
    assert_eq!((wanted.count, wanted.exact, wanted.bytes.len()), (Some(6), true, 24));
    let varints: Vec<u8> = ids.iter().flat_map(|id| varint((*id).into())).collect();
    let (first, second) = varints.split_at(5);
    let content = |parts: &[&[u8]], packed_tokens| {
        let body = Bytes::from(parts.concat());
        let mut end = 0;
        let mut range = |part: &&[u8]| {
            end += part.len();
            end - part.len()..end
        };
        let prompt = parts.iter().map(&mut range).collect();
        Request {
            body,
            content: Content { prompt, packed_tokens, ..Content::default() },
            ..Request::default()
        }
    };
    assert_eq!(estimated(json!({}), &content(&[first, second], 2)), wanted);
    let [a, b] = ["a", "b"].map(|name| {
        let found = estimated(json!({}), &content(&[&varints, name.as_bytes()], 1));
        (found.count, found.bytes[..24].to_vec(), found.bytes[24..].to_vec())
    });
    assert_eq!((a.0, &a.1, b.0, &b.1), (Some(6), &wanted.bytes, Some(6), &wanted.bytes));
    assert_ne!(a.2, b.2);
}

/// An image is told by what stands for it: its URL, or all of its data.
#[test]
fn images_by_their_urls_and_by_their_bytes_are_told_apart() {
    let hashes = |parts: Value| {
        let request = request(PATH, &[], &chat(&parts).to_string());
        estimated(json!({}), &request).media.iter().map(|item| item.hash).collect::<Vec<_>>()
    };
    let data = format!("data:image/png;base64,{}", "iVBORw0KGgo".repeat(10_000));
    let (mut last, mut first) = (data.clone(), data.clone());
    last.replace_range(data.len() - 1.., "p");
    first.replace_range(11..14, "gif");
    let all = hashes(json!([image("https://x/a.png"), image(&data), image(&last), image(&first)]));
    assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    // The same again, also where JSON writes it otherwise, and in any order.
    assert_eq!(hashes(json!([image(&data), image("https://x/a.png")])), [all[1], all[0]]);
    let escaped = chat(&json!([image("https://x/a.png")])).to_string().replace('/', "\\/");
    let escaped = estimated(json!({}), &request(PATH, &[], &escaped));
    assert_eq!(escaped.media.iter().map(|item| item.hash).collect::<Vec<_>>(), [all[0]]);
}

#[test]
fn very_many_and_very_long_ones_have_an_end() {
    let parts: Vec<_> = (0..2000).map(|n| image(&n.to_string())).collect();
    let huge = json!({"image": {"mode": "static", "static": {"staticToken": i64::MAX}}});
    let tokens = estimated(huge, &request(PATH, &[], &chat(&json!(parts)).to_string()));
    assert_eq!(tokens.media.len(), 1024);
    // What a client says of its media can't make a request count as more than a long context, nor take long to compare.
    assert_eq!(tokens.media.iter().map(|item| item.tokens).sum::<u64>(), MOST_MEDIA_TOKENS);
    let text = tokens.count.unwrap() - MOST_MEDIA_TOKENS;
    assert!((1..20_000).contains(&text), "{text}");
    assert!((4 * MOST_ALL_REPEATS..4 * MOST_ALL_REPEATS + 80_000).contains(&tokens.bytes.len()));
}

/// The number of an image as the fact sheet has it: static, or width × height / factor, at least 1.
fn published_image(mode: &str, (width, height): (u64, u64), factor: u64, fixed: u64) -> u64 {
    if mode == "static" { fixed.max(1) } else { (width * height / factor).max(1) }
}

/// The number of a video: min(frames × tokens of a frame, the most of a video).
fn published_video(
    sampled: bool,
    seconds: f64,
    fps: f64,
    [least, most, divisor, cap]: [u64; 4],
    frame: u64,
) -> u64 {
    let all = (seconds * fps).trunc() as u64;
    let all = if sampled { all } else { all / divisor.max(1) };
    let all = if least > 0 && all < least { least } else { all };
    let all = if most > 0 && all > most { most } else { all };
    let all = if sampled && divisor > 1 { all / divisor } else { all };
    let tokens = all * frame;
    (if cap > 0 && tokens > cap { cap } else { tokens }).max(1)
}

proptest! {
    #[test]
    fn images_agree_with_the_published_rule(
        fixed in any::<bool>(), own in prop::option::of((1..2000_u32, 1..2000_u32)), default in (1..4000_u64, 1..4000_u64),
        factor in 1..5000_u64, tokens in 0..3000_u64,
    ) {
        let mode = if fixed { "static" } else { "dynamic" };
        let parameters = json!({"image": {
            "mode": mode, "defaultResolution": {"width": default.0, "height": default.1},
            "dynamic": {"factor": factor}, "static": {"staticToken": tokens},
        }});
        let url = own.map_or_else(|| "https://a/b".to_owned(), |(width, height)| data_url(width, height));
        let size = own.map_or(default, |(width, height)| (width.into(), height.into()));
        prop_assert_eq!(one(parameters, &[], image(&url)), published_image(mode, size, factor, tokens).min(MOST_MEDIA_TOKENS));
    }

    #[test]
    fn videos_agree_with_the_published_rule(
        sampled in any::<bool>(), seconds in prop::option::of(0.1..500.0_f64), fps in prop::option::of(0.1..240.0_f64),
        configured in (0.1..100.0_f64, 0.1..60.0_f64), bounds in [0..50_u64, 0..200, 0..6, 0..100_000],
        size in prop::option::of((1..3000_u64, 1..3000_u64)), factor in 1..5000_u64,
    ) {
        let mode = if sampled { "sampled" } else { "strided" };
        let parameters = json!({"video": {
            "defaultDuration": configured.0, "maxVideoTokens": bounds[3],
            "tokensPerFrame": {"mode": "dynamic", "dynamic": {"factor": factor}},
            "frames": {
                "mode": mode, "minFrames": bounds[0], "maxFrames": bounds[1],
                "sampled": {"sampleFPS": configured.1, "temporalPatchSize": bounds[2]},
                "strided": {"defaultSourceFPS": configured.1, "frameStride": bounds[2]},
            },
        }});
        let texts = [
            ("x-llm-d-video-duration-seconds", seconds.map(|s| s.to_string())),
            ("x-llm-d-video-fps", fps.map(|fps| fps.to_string())),
            ("x-llm-d-video-resolution", size.map(|(width, height)| format!("{width}x{height}"))),
        ];
        let headers: Vec<_> = texts.iter().filter_map(|(name, text)| Some((*name, text.as_deref()?))).collect();
        let (width, height) = size.unwrap_or((640, 360));
        let frame = (width * height / factor).max(1);
        let fps = fps.filter(|_| !sampled).unwrap_or(configured.1);
        let published = published_video(sampled, seconds.unwrap_or(configured.0), fps, bounds, frame);
        prop_assert_eq!(one(parameters, &headers, video()), published.min(MOST_MEDIA_TOKENS));
    }

    /// Whatever a client sends.
    #[test]
    fn any_text_is_counted(url in ".{0,40}", format in "[^\"\\\\]{0,10}") {
        let sound = json!({"type": "input_audio", "input_audio": {"data": url, "format": format}});
        let parts = json!([image(&url), sound, {"type": "text", "text": url}]);
        let tokens = estimated(json!({}), &request(PATH, &[], &chat(&parts).to_string()));
        prop_assert!(tokens.count.unwrap() > 0);
        prop_assert_eq!(tokens.bytes.len() as u64, 4 * tokens.count.unwrap());
    }
}
