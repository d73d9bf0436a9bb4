use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::request::Headers;

/// Kind, text, whether it is bare data, and the name of the format of each.
fn found(path: &'static str, body: &Value) -> Vec<(MediaKind, String, bool, String)> {
    let headers =
        Headers(vec![(":path".into(), path.into()), ("content-type".into(), "application/json".into())]);
    let request = Request::new(headers, Bytes::from(body.to_string())).unwrap();
    let text = |range: &Range<usize>| String::from_utf8(request.body[range.clone()].to_vec()).unwrap();
    let media = media(&request);
    for item in &media {
        let part: Value = serde_json::from_slice(&request.body[item.part.clone()]).unwrap();
        assert!(part["type"].is_string(), "{part}");
    }
    media.iter().map(|m| (m.kind, text(&m.content), m.bare, text(&m.format))).collect()
}

fn one(kind: MediaKind, text: &str) -> (MediaKind, String, bool, String) {
    (kind, text.to_owned(), false, String::new())
}

#[test]
fn parts_of_chats_are_found_in_their_order() {
    let body = json!({
        "tools": [{"type": "function", "function": {"name": "see", "parameters": {"type": "image_url"}}}],
        "messages": [
            {"role": "system", "content": "image_url"},
            {"role": "user", "content": [
                {"type": "text", "text": "What is \"type\": \"image_url\"?"},
                {"type": "image_url", "image_url": {"url": "https://x/a.png", "detail": "low"}},
                {"image_url": {"url": "data:image/png;base64,AAAA"}, "type": "image_url"},
                {"type": "image_url", "image_url": "https://x/b.png"},
                {"type": "video_url", "video_url": {"url": "https://x/c.mp4"}},
                {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
                {"type": "audio_url", "audio_url": {"url": "https://x/d.wav"}},
                {"type": "image_embeds", "image_embeds": "QUJD"},
                {"type": "image_url", "image_url": null, "uuid": "id-1"},
            ]},
            {"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": ""}},
                {"type": "image_url"},
                {"type": "video_url", "video_url": {"url": 7}},
                {"type": "file", "file": {"file_id": "f"}},
            ]},
        ],
    });
    use MediaKind::{Audio, Image, Video};
    assert_eq!(
        found("/v1/chat/completions", &body),
        [
            one(Image, "https://x/a.png"),
            one(Image, "data:image/png;base64,AAAA"),
            one(Image, "https://x/b.png"),
            one(Video, "https://x/c.mp4"),
            (Audio, "UklG".to_owned(), true, "wav".to_owned()),
            one(Audio, "https://x/d.wav"),
            one(Image, "QUJD"),
            one(Image, "id-1"),
        ]
    );
}

#[test]
fn those_of_responses_and_of_messages_too() {
    let responses = json!({"input": [
        {"role": "user", "content": [
            {"type": "input_text", "text": "?"},
            {"type": "input_image", "image_url": "https://x/a.png"},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        ]},
    ]});
    use MediaKind::{Audio, Image};
    assert_eq!(
        found("/v1/responses", &responses),
        [one(Image, "https://x/a.png"), (Audio, "AAAA".to_owned(), true, "mp3".to_owned())]
    );
    let messages = json!({
        "system": [{"type": "text", "text": "Be short.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
                 "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": {"type": "url", "url": "https://x/a.png"}},
                {"type": "tool_result", "tool_use_id": "t", "content": [
                    {"type": "text", "text": "seen"},
                    {"type": "image", "source": {"type": "base64", "data": "BBBB"}},
                ]},
            ]},
        ],
    });
    let data = |text: &str| (Image, text.to_owned(), true, String::new());
    assert_eq!(found("/v1/messages", &messages), [data("AAAA"), one(Image, "https://x/a.png"), data("BBBB")]);
}

#[test]
fn bodies_without_any_have_none_however_deep_they_are() {
    let deep = (0..100).fold(json!({"type": "image_url"}), |inner, _| json!({"content": [inner]}));
    for (path, body) in [
        ("/v1/chat/completions", json!({"messages": [deep]})),
        ("/v1/chat/completions", json!({"messages": [{"role": "user", "content": "image_url"}]})),
        ("/v1/chat/completions", json!({"messages": "image_url"})),
        ("/v1/completions", json!({"prompt": [{"type": "video_url"}]})),
        ("/v1/embeddings", json!({"input": [1, 2]})),
    ] {
        assert_eq!(found(path, &body), [], "{body}");
    }
}

#[test]
fn of_a_body_that_is_cut_those_before_the_cut_are_found() {
    let whole = json!({"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "a"}}, {"type": "image_url", "image_url": {"url": "b"}},
    ]}]})
    .to_string();
    for end in 0..=whole.len() {
        let (headers, body) = (Headers::default(), Bytes::copy_from_slice(&whole.as_bytes()[..end]));
        let content = super::super::Formats::ALL.parse_beginning(&headers, &body);
        let found = media(&Request { headers, body, content, ..Request::default() });
        // A message that is cut is none yet.
        assert!(found.len() <= 2 && found.iter().all(|media| media.part.end <= end), "{end}");
    }
}
