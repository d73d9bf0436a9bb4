//! Whatever bytes are given for a form and its content type: what is read of it lies in it, between two lines of the boundary,
//! and a beginning says nothing that the whole does not.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use picker_core::parse::Formats;
use picker_core::request::{Content, Headers, ModelPlace, Text};

// The rest of the content type is the first line of the input.
fuzz_target!(|input: &[u8]| {
    let line = input.iter().position(|b| *b == b'\n').unwrap_or(input.len());
    let (kind, body) = (&input[..line], input.get(line + 1..).unwrap_or_default());
    let kind = [b"multipart/form-data", kind].concat();
    let headers = [(":path", Bytes::from("/v1/audio/transcriptions")), ("content-type", Bytes::from(kind))];
    let headers = Headers(headers.map(|(name, value)| (Bytes::from(name), value)).into());

    let whole = Formats::ALL.parse(&headers, body).expect("a form is never refused");
    let model = model(&whole, body);
    // It is read as JSON, when the content type is that of no form.
    if let ModelPlace::Form { value } = &whole.model_place {
        assert_eq!(whole.model, Some(Text::Plain(value.clone())));
        assert!(body[value.end..].iter().take(4).any(|b| *b == b'-'));
        assert_eq!(
            whole,
            Content {
                model: whole.model.clone(),
                model_place: whole.model_place.clone(),
                ..Content::default()
            }
        );
    }
    let text = Formats::ALL.parse_text(&headers, body);
    assert_eq!((text.model.is_some(), &text.model_place), (model.is_some(), &whole.model_place));
    // Another name in its place is the name.
    if let ModelPlace::Form { value } = whole.model_place {
        let renamed = [&body[..value.start], b"another", &body[value.end..]].concat();
        let read = Formats::ALL.parse(&headers, &renamed).expect("a form is never refused");
        assert_eq!(self::model(&read, &renamed), Some("another"));
    }
});

fn model<'b>(content: &Content, body: &'b [u8]) -> Option<&'b str> {
    match content.model.as_ref()? {
        Text::Plain(range) => Some(std::str::from_utf8(&body[range.clone()]).expect("text")),
        Text::Unescaped(_) => None,
    }
}
