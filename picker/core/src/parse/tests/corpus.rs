//! A corpus of requests for each API, written after its public reference, with all that is read of each.
//!
//! Those that are JSON stand in `corpus/*.txt`: `=== ` and a name, a line with the path and further headers, and the body. The others
//! are made here. What is read of them stands in `snapshots/`.

use std::fmt::Write as _;

use rstest::rstest;

use super::wire::{bytes, file, form, framed, number, packed, part, text, varint};
use super::*;
use crate::parse::media::media;

/// A request of the corpus.
struct Case {
    name: String,
    headers: Headers,
    body: Vec<u8>,
}

impl Case {
    /// `line` has the path, then headers.
    fn new(name: &str, line: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut words = line.split(" | ");
        let mut all = vec![(":method", "POST"), (":path", words.next().unwrap())];
        all.extend(words.map(|header| header.split_once(": ").unwrap()));
        if all.iter().all(|(name, _)| *name != "content-type") {
            all.push(("content-type", "application/json"));
        }
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let headers = Headers(all.into_iter().map(|(name, value)| (bytes(name), bytes(value))).collect());
        Self { name: name.to_owned(), headers, body: body.into() }
    }

    /// All that is read of it.
    fn read(&self) -> String {
        let mut out = format!("=== {}\n", self.name);
        if !Formats::ALL.is_readable(&self.headers) {
            out += "is not waited for\n";
        }
        let content = match Formats::ALL.parse(&self.headers, &self.body) {
            Ok(content) => content,
            Err(bad) => return out + &format!("refused: {bad}\n"),
        };
        let body = Bytes::from(self.body.clone());
        let request = Request { headers: self.headers.clone(), body, content, ..Request::default() };
        if let Some(model) = request.model() {
            writeln!(out, "model: {model}").unwrap();
        }
        let place = match &request.content.model_place {
            ModelPlace::Fixed => "nowhere".to_owned(),
            ModelPlace::Json { value } => format!("in the string {:?}", self.at(value)),
            ModelPlace::Null { value } => format!("for {:?}", self.at(value)),
            ModelPlace::Form { value } => format!("in the part {:?}", self.at(value)),
            ModelPlace::Absent { insert_at, object_is_empty } => {
                format!(
                    "behind {:?}{}",
                    self.at(&(0..*insert_at)),
                    if *object_is_empty { ", alone" } else { "" }
                )
            }
        };
        writeln!(out, "another model: {place}").unwrap();
        if let Some(salt) = request.cache_salt() {
            writeln!(out, "salt: {salt}").unwrap();
        }
        if request.content.stream {
            out += "stream\n";
        }
        if let Some(limit) = request.content.max_tokens {
            writeln!(out, "limit: {limit}").unwrap();
        }
        for (i, part) in request.content.prompt.iter().enumerate() {
            let name = if i < request.content.packed_tokens { "tokens" } else { "prompt" };
            writeln!(out, "{name}: {}", self.at(part)).unwrap();
        }
        for item in media(&request) {
            writeln!(
                out,
                "{:?}{}: {}",
                item.kind,
                if item.bare { " data" } else { "" },
                self.at(&item.content)
            )
            .unwrap();
        }
        if request.is_multimodal() && media(&request).is_empty() {
            out += "has media\n";
        }
        out
    }

    fn at(&self, range: &std::ops::Range<usize>) -> String {
        let bytes = &self.body[range.clone()];
        match std::str::from_utf8(bytes) {
            Ok(text) if text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t') => text.to_owned(),
            _ => bytes.escape_ascii().to_string(),
        }
    }
}

fn cases(file: &str) -> Vec<Case> {
    let cases = file.split("=== ").filter(|case| !case.is_empty()).map(|case| {
        let (name, rest) = case.split_once('\n').unwrap();
        let (line, body) = rest.split_once('\n').unwrap();
        Case::new(name, line, body.trim_end_matches('\n'))
    });
    cases.collect()
}

/// Whole requests, of which every beginning says no more than they do.
fn check(name: &str, cases: &[Case]) {
    let all: Vec<_> = cases.iter().map(Case::read).collect();
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, all.join("\n"));
    });
    for case in cases {
        for end in 0..case.body.len() {
            let content = Formats::ALL.parse_beginning(&case.headers, &case.body[..end]);
            let within = content.prompt.iter().chain(&content.media).all(|range| range.end <= end);
            assert!(within, "{} to {end}", case.name);
        }
    }
}

#[rstest]
#[case::anthropic("anthropic", include_str!("corpus/anthropic.txt"))]
#[case::chat("chat", include_str!("corpus/chat.txt"))]
#[case::completions("completions", include_str!("corpus/completions.txt"))]
#[case::embeddings("embeddings", include_str!("corpus/embeddings.txt"))]
#[case::pooling("pooling", include_str!("corpus/pooling.txt"))]
#[case::rerank("rerank", include_str!("corpus/rerank.txt"))]
#[case::responses("responses", include_str!("corpus/responses.txt"))]
#[case::score("score", include_str!("corpus/score.txt"))]
#[case::sglang_generate("sglang_generate", include_str!("corpus/sglang_generate.txt"))]
#[case::vllm_generate("vllm_generate", include_str!("corpus/vllm_generate.txt"))]
fn all_that_is_said_in_json_is_read(#[case] name: &str, #[case] file: &str) {
    check(name, &cases(file));
}

#[test]
fn images() {
    let line = "/v1/images/edits | content-type: multipart/form-data; boundary=b";
    let image = file("image", b"\x89PNG\r\n\x1a\n");
    let mut all = cases(include_str!("corpus/images.txt"));
    all.extend([
        Case::new(
            "an edit",
            line,
            form(&[text("model", "gpt-image-1"), image.clone(), text("prompt", "Add a hat")]),
        ),
        Case::new(
            "several images",
            line,
            form(&[image.clone(), image.clone(), text("prompt", "x"), text("model", "m")]),
        ),
        Case::new(
            "a mask and no model",
            line,
            form(&[image.clone(), file("mask", b"\0"), text("prompt", "x")]),
        ),
        Case::new(
            "a variation",
            "/v1/images/variations | content-type: multipart/form-data; boundary=b",
            form(&[image, text("model", "dall-e-2"), text("n", "2")]),
        ),
    ]);
    check("images", &all);
}

#[test]
fn audio() {
    let at = |path: &str, kind: &str| format!("/v1/audio/{path} | content-type: {kind}");
    let plain = at("transcriptions", "multipart/form-data; boundary=b");
    let (sound, model) = (file("file", b"RIFF\0\0\r\n--\r\n--bb\r\n"), text("model", "whisper-1"));
    let whole = form(&[model.clone(), sound.clone()]);
    let disposed = |rest: &str| form(&[part(&format!("Content-Disposition: {rest}"), "m"), sound.clone()]);
    let mut all = cases(include_str!("corpus/audio.txt"));
    all.extend([
        Case::new("as OpenAI's clients send it", &plain, whole.clone()),
        Case::new("the file first", &plain, form(&[sound.clone(), text("language", "en"), model.clone(), text("stream", "true")])),
        Case::new("translated", &at("translations", "Multipart/Form-Data;Boundary=\"b\""), whole.clone()),
        Case::new("a boundary with escapes", &at("transcriptions", "multipart/form-data; charset=utf-8; boundary=\"\\b\" ; x=y"), whole.clone()),
        Case::new("another parameter with a semicolon", &at("transcriptions", "multipart/form-data; x=\"; boundary=no\"; boundary=b"), whole.clone()),
        Case::new("no boundary", &at("transcriptions", "multipart/form-data"), whole.clone()),
        Case::new("an empty boundary", &at("transcriptions", "multipart/form-data; boundary=\"\""), whole.clone()),
        Case::new("another boundary", &at("transcriptions", "multipart/form-data; boundary=c"), whole.clone()),
        Case::new("another kind of multipart", &at("transcriptions", "multipart/mixed; boundary=b"), whole.clone()),
        Case::new("text before the first part, lines of one byte", &plain, {
            let body = String::from_utf8(form(&[model.clone(), text("file", "x")])).unwrap();
            format!("a preamble\n{}", body.replace("\r\n", "\n"))
        }),
        Case::new("spaces behind the boundary", &plain, {
            let body = String::from_utf8(form(&[model.clone(), text("file", "x")])).unwrap();
            body.replace("--b\r\n", "--b \t\r\n")
        }),
        Case::new("a name without quotes", &plain, disposed("form-data; name=model")),
        Case::new("a name with an escape", &plain, disposed("Form-Data ;NAME = \"mod\\el\"")),
        Case::new("a name over two lines", &plain, disposed("form-data;\r\n\tname=\"model\"")),
        Case::new("two names", &plain, disposed("form-data; name=model; name=other")),
        Case::new("a file that is called model", &plain, disposed("form-data; name=model; filename=\"\"")),
        Case::new("an attachment", &plain, disposed("attachment; name=model")),
        Case::new("a longer name", &plain, disposed("form-data; name=\"model[]\"")),
        Case::new("a file name with a semicolon", &plain, form(&[
            part("Content-Disposition: form-data; name=\"file\"; filename=\"a; name=model; .wav\"", "x"),
            model.clone(),
        ])),
        Case::new("a model in base64", &plain, form(&[part(
            "Content-Disposition: form-data; name=\"model\"\r\nContent-Transfer-Encoding: base64", "bQ==",
        )])),
        Case::new("a model that says what it is", &plain, form(&[part(
            "content-type: text/plain; charset=utf-8\r\ncontent-disposition: form-data; name=\"model\"\r\ncontent-transfer-encoding: 8bit",
            "modèle 1",
        )])),
        Case::new("two models", &plain, form(&[model.clone(), sound.clone(), text("model", "last")])),
        Case::new("an empty model", &plain, form(&[text("model", "")])),
        Case::new("a model of bytes that are no text", &plain, form(&[part("Content-Disposition: form-data; name=model", b"\xff")])),
        Case::new("a model that does not end", &plain, model[..model.len() - 2].to_vec()),
        Case::new("not all there", &plain, [&sound[..], &model, b"--b\r\nContent-Dis"].concat()),
    ]);
    check("audio", &all);
}

/// A request of `Generate`.
fn generate(fields: &[Vec<u8>]) -> Vec<u8> {
    framed(fields.concat())
}

#[test]
fn vllm_over_grpc() {
    let at = |rest: &str| format!("/vllm.grpc.engine.VllmEngine/{rest}");
    let line = at("Generate | content-type: application/grpc");
    let tokens = |ids: &[u64]| bytes(2, packed(2, ids));
    let limit = bytes(4, [number(8, 64), number(15, 1)].concat());
    let sampled = bytes(
        4,
        [vec![1 << 3 | 5, 0, 0, 0x80, 0x3f], number(8, 7), bytes(10, "stop"), bytes(16, "{}")].concat(),
    );
    let all = [
        Case::new(
            "tokens",
            &line,
            generate(&[bytes(1, "r-1"), tokens(&[1, 300, 151_644]), limit.clone(), number(5, 1)]),
        ),
        Case::new("a text", &line, generate(&[bytes(1, "r"), bytes(3, "The capital of France is"), sampled])),
        Case::new(
            "tokens with their text",
            &line,
            generate(&[bytes(2, [bytes(1, "Hello"), packed(2, &[9, 8])].concat())]),
        ),
        Case::new(
            "tokens that are not packed",
            &line,
            generate(&[bytes(2, [number(2, 1), number(2, 300)].concat())]),
        ),
        Case::new("tokens in two fields", &line, generate(&[tokens(&[1, 2]), limit.clone(), tokens(&[3])])),
        Case::new("a text after tokens", &line, generate(&[tokens(&[1, 2]), bytes(3, "text")])),
        Case::new("tokens after a text", &line, generate(&[bytes(3, "text"), tokens(&[1, 2])])),
        Case::new(
            "images",
            &line,
            generate(&[
                tokens(&[1, 2]),
                bytes(7, [bytes(2, "\0\0"), bytes(6, "a1b2"), bytes(6, "c3d4")].concat()),
            ]),
        ),
        Case::new(
            "fields that are not known",
            &line,
            generate(&[
                number(9, 3),
                vec![11 << 3 | 1, 0, 0, 0, 0, 0, 0, 0, 0],
                bytes(8, "{}"),
                tokens(&[5]),
            ]),
        ),
        Case::new(
            "a group",
            &line,
            generate(&[varint(20 << 3 | 3), bytes(3, "inner"), varint(20 << 3 | 4), tokens(&[5])]),
        ),
        Case::new("a text that is no text at its end", &line, generate(&[bytes(3, b"good\xff\xfe")])),
        Case::new(
            "several messages",
            &line,
            [generate(&[tokens(&[1]), limit]), generate(&[tokens(&[2])])].concat(),
        ),
        Case::new("an empty message", &line, framed(b"")),
        Case::new("a length that is not there", &line, b"\0\0\0\x01\0\x12\x05\x12\x03\x01\x02".to_vec()),
        Case::new(
            "a compressed message, which is undone before",
            &format!("{line} | grpc-encoding: gzip"),
            b"\x01\0\0\0\x02\x1f\x8b".to_vec(),
        ),
        Case::new(
            "a coding that is not known",
            &format!("{line} | grpc-encoding: snappy"),
            generate(&[tokens(&[1])]),
        ),
        Case::new("no message at all", &line, b"{\"model\":\"m\"}".to_vec()),
        Case::new(
            "to embed",
            &at("Embed | content-type: application/grpc+proto"),
            framed([bytes(1, "r"), tokens(&[7, 8, 9])].concat()),
        ),
        Case::new(
            "to embed nothing",
            &at("Embed | content-type: application/grpc;x=y"),
            framed(bytes(1, "r")),
        ),
        Case::new("another method", &at("Abort | content-type: application/grpc"), framed(bytes(1, "r"))),
        Case::new("as JSON", &at("Generate | content-type: application/grpc+json"), framed("{}")),
    ];
    check("vllm_grpc", &all);
}

#[test]
fn vertex() {
    let at = |method: &str| {
        format!(
            "/google.cloud.aiplatform.v1beta1.PredictionService/{method} | content-type: application/grpc"
        )
    };
    let endpoint = bytes(1, "projects/p/locations/l/endpoints/e");
    let http = |json: &str| bytes(2, [bytes(1, "application/json"), bytes(2, json)].concat());
    let call = |json: &str| framed([endpoint.clone(), http(json)].concat());
    let chat = r#"{"model":"m","messages":[{"role":"user","content":"Hello"}],"max_tokens":5,"stream":true}"#;
    let image = r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}],"model":"m"}"#;
    let escaped = r#"{"model":"a\/b","cache_salt":"\u0041","prompt":"x"}"#;
    let mut all = cases(include_str!("corpus/vertex_http.txt"));
    let cut = |by: usize| {
        let mut body = call(chat);
        body.truncate(body.len() - by);
        body
    };
    all.extend([
        Case::new("a chat over gRPC", &at("ChatCompletions"), call(chat)),
        Case::new("a chat with an image", &at("ChatCompletions"), call(image)),
        Case::new("a prediction as it is over gRPC", &at("RawPredict"), call(escaped)),
        Case::new(
            "a streamed prediction",
            &at("StreamRawPredict"),
            call(r#"{"model":"m","system":"s","messages":[{"role":"user","content":"x"}]}"#),
        ),
        Case::new(
            "the body before the endpoint",
            &at("RawPredict"),
            framed([http(chat), endpoint.clone()].concat()),
        ),
        Case::new(
            "two bodies",
            &at("RawPredict"),
            framed([http(chat), http(r#"{"model":"last","prompt":"x"}"#)].concat()),
        ),
        Case::new(
            "two messages",
            &at("StreamRawPredict"),
            [call(r#"{"prompt":"x"}"#), call(r#"{"model":"m","prompt":"y","max_tokens":3}"#)].concat(),
        ),
        Case::new("no body", &at("RawPredict"), framed(&endpoint)),
        Case::new("no JSON", &at("RawPredict"), call("\u{0}\u{1}")),
        Case::new("a chat that is broken", &at("ChatCompletions"), call(r#"{"model":"m","messages":[}"#)),
        Case::new("a chat that is cut off", &at("ChatCompletions"), cut(40)),
        Case::new("a chat without a model", &at("ChatCompletions"), call(r#"{"messages":[]}"#)),
        Case::new("instances, which are not read", &at("Predict"), call(chat)),
    ]);
    check("vertex", &all);
}
