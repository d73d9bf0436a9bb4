use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::parse::tests::wire::{file, form, text};

fn headers(kind: &str) -> Headers {
    Headers(vec![("content-type".into(), Bytes::copy_from_slice(kind.as_bytes()))])
}

/// The boundary of a content type.
fn told(kind: &str) -> Option<Vec<u8>> {
    boundary(&headers(kind)).map(|boundary| boundary.to_vec())
}

#[test]
fn boundaries_are_tokens_or_quoted() {
    let long = "x".repeat(LONGEST);
    let table = [
        ("multipart/form-data; boundary=abc", Some("abc")),
        ("multipart/form-data;boundary=abc;charset=utf-8", Some("abc")),
        ("MULTIPART/FORM-DATA ; charset=utf-8 ; BOUNDARY = abc ", Some("abc")),
        ("multipart/form-data; boundary=\"a b\"", Some("a b")),
        ("multipart/form-data; boundary=\"a\\\"b\\\\\"", Some("a\"b\\")),
        ("multipart/form-data; boundary=\"a;b\"; x=y", Some("a;b")),
        ("multipart/form-data; x=\"; boundary=no\"; boundary=yes", Some("yes")),
        ("multipart/form-data; boundary=a=b", Some("a=b")),
        ("multipart/form-data; boundary=\"not closed", Some("not closed")),
        ("multipart/form-data; flag; boundary=b; boundary=c", Some("b")),
        (
            "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
            Some("----WebKitFormBoundary7MA4YWxkTrZu0gW"),
        ),
        // Bun took the space in, and multer the quotes (oven-sh/bun#41619, rwf2/multer#64).
        ("multipart/form-data; boundary=abc ; charset=utf-8", Some("abc")),
        ("multipart/form-data;boundary=\"test\";deferSpec=20220824", Some("test")),
        ("multipart/form-data; boundary=; boundary=b", Some("b")),
        ("multipart/form-data; xboundary=b", None),
        ("multipart/form-data; boundary", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data", None),
        ("multipart/mixed; boundary=b", None),
        ("application/json; boundary=b", None),
    ];
    let found =
        table.map(|(kind, _)| (kind, told(kind).map(|boundary| String::from_utf8(boundary).unwrap())));
    assert_eq!(found, table.map(|(kind, wanted)| (kind, wanted.map(str::to_owned))));
    assert_eq!(told(&format!("multipart/form-data; boundary={long}")), Some(long.clone().into_bytes()));
    assert_eq!(told(&format!("multipart/form-data; boundary={long}x")), None);
}

fn model(body: &[u8]) -> Option<&str> {
    match content(body, b"b").model? {
        Text::Plain(range) => Some(std::str::from_utf8(&body[range]).unwrap()),
        Text::Unescaped(_) => unreachable!(),
    }
}

/// A boundary within a file that is none: not at the beginning of a line, or not the end of one.
#[test]
fn files_may_have_what_looks_like_a_boundary() {
    for content in [
        &b"x\r\n--bContent-Disposition: form-data; name=model\r\n\r\nx\r\n--bb"[..],
        b"\r\n--bx\r\n\r\n--b-\r\n",
        b"\r\n--",
        b"",
    ] {
        let body = form(&[file("file", content), text("model", "m")]);
        assert_eq!(model(&body), Some("m"), "{}", content.escape_ascii());
    }
}

#[test]
fn the_model_goes_up_to_the_line_of_the_boundary() {
    for name in ["m", "", "a\r\nb", "a\n", " spaces ", "\r\n", "x--b", "x--b--", "ünïcode"] {
        assert_eq!(model(&form(&[text("model", name)])), Some(name), "{name:?}");
    }
}

proptest! {
    /// However the parts are ordered, and whatever the files are, unless they have the boundary.
    #[test]
    fn the_model_is_found_beside_any_files(
        name in "[a-zA-Z0-9/._-]{0,40}",
        files in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4),
        at in 0..5_usize,
    ) {
        prop_assume!(files.iter().all(|file| !file.windows(3).any(|bytes| bytes == b"--b")));
        let mut parts: Vec<_> = files.iter().map(|content| file("file", content)).collect();
        parts.insert(at.min(parts.len()), text("model", &name));
        let body = form(&parts);
        prop_assert_eq!(model(&body), Some(&*name));
        // What comes before a cut says the same or nothing.
        for end in 0..body.len() {
            let cut = model(&body[..end]);
            prop_assert!(cut.is_none() || cut == Some(&*name), "{}: {:?}", end, cut);
        }
    }

    #[test]
    fn any_bytes_are_read(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "--b", "--", "b", "\r\n", "\n", "\r", " ", "\t", ":", ";", "=", "\"", "\\", "Content-Disposition",
            "form-data", "name", "model", "filename", "x", "\u{e9}", "content-transfer-encoding: 8bit\r\n",
            "--b\r\nContent-Disposition: form-data; name=model\r\n\r\n",
        ]), 0..30),
        kind in prop::collection::vec(prop::sample::select(vec![
            "multipart/form-data", ";", "=", "boundary", "\"", "\\", " ", "b", "x",
        ]), 0..12),
    ) {
        let body = pieces.concat();
        if let Some(Text::Plain(range)) = content(body.as_bytes(), b"b").model {
            prop_assert!(body.get(range.clone()).is_some());
            prop_assert!(body[range.end..].starts_with("\r\n--b") || body[range.end..].starts_with("\n--b") || body[range.end..].starts_with("--b"));
        }
        let _ = told(&kind.concat());
    }
}
