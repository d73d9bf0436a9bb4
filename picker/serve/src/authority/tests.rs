//! The adapter against hand-made blocks, and against `h2`'s own decoder.

mod decoder;
pub(crate) mod encoder;

use proptest::prelude::*;

use super::block::MAX_BLOCK;
use super::frames::PREFACE;
use super::{hpack, rewrite_connection};
use encoder::{Coding, Field, Frame, Kind, Name, block, frames, literal};

/// The fields as the picker should see them.
fn rewritten(fields: &[Field]) -> Vec<Field> {
    fields.iter().map(Field::rewritten).collect()
}

fn check_block(fields: &[Field]) {
    let mut bytes = block(fields);
    hpack::rewrite(&mut bytes);
    assert_eq!(bytes, block(&rewritten(fields)), "{fields:?}");
}

#[test]
fn istio_authority_in_every_form() {
    let value = b"outbound|9002||picker.ns.svc.cluster.local";
    for kind in [Kind::Indexed, Kind::Plain, Kind::Never] {
        for coding in [Coding::Plain, Coding::Huffman] {
            for name in [Name::Authority, Name::Spelled(":authority".into(), coding)] {
                check_block(&[Field::Literal(kind, name, value.to_vec(), coding)]);
            }
        }
    }
}

#[test]
fn the_rfc_example_is_walked_as_it_stands() {
    // RFC 7541, C.4.1: GET http www.example.com, Huffman-coded, `|` put in the place of the first `.`.
    let mut bytes = block(&[Field::Static(2), Field::Static(6), Field::Static(4)]);
    bytes.extend([0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff]);
    let before = bytes.clone();
    hpack::rewrite(&mut bytes);
    assert_eq!(bytes, before);
    let mut piped = vec![0x01, 0x03, b'a', b'|', b'b'];
    hpack::rewrite(&mut piped);
    assert_eq!(piped, [0x01, 0x03, b'a', b'+', b'b']);
}

#[test]
fn other_headers_keep_their_pipes() {
    let other = |name: &str| literal(name, b"a|b|c", Coding::Huffman);
    check_block(&[
        other("x-trace"),
        other("cookie"),
        Field::Literal(Kind::Plain, Name::Dynamic(62), b"|".into(), Coding::Plain),
    ]);
}

#[test]
fn each_frame_layout_is_found() {
    let fields =
        [Field::Static(3), literal(":authority", b"a|b", Coding::Huffman), literal("x", b"|", Coding::Plain)];
    for layout in [
        Frame::default(),
        Frame { padding: Some(7), ..Frame::default() },
        Frame { priority: true, ..Frame::default() },
        Frame { padding: Some(0), priority: true, pieces: vec![1, 3, 2], ..Frame::default() },
        Frame { pieces: vec![0, 0, 4], ..Frame::default() },
    ] {
        let connection = |fields: &[Field]| [PREFACE, &frames(1, &block(fields), &layout)].concat();
        let (before, after) = (connection(&fields), connection(&rewritten(&fields)));
        for step in 1..before.len() + 1 {
            assert_eq!(rewrite_connection(&before, step), after, "{layout:?}, {step} bytes at a time");
        }
    }
}

#[test]
fn a_block_beyond_the_limit_goes_on_unseen_and_the_next_is_seen() {
    let long = block(&[literal(":authority", &b"|".repeat(MAX_BLOCK), Coding::Plain)]);
    let short = [literal(":authority", b"|", Coding::Plain)];
    let layout = Frame { pieces: vec![16_384; 7], ..Frame::default() };
    let connection = |fields: &[Field]| {
        [PREFACE, &frames(1, &long, &layout), &frames(3, &block(fields), &Frame::default())].concat()
    };
    for step in [1000, 16_384, usize::MAX] {
        assert_eq!(rewrite_connection(&connection(&short), step), connection(&rewritten(&short)));
    }
}

#[test]
fn a_block_cut_short_by_another_frame_does_not_hide_what_follows() {
    let fields = [literal(":authority", b"|", Coding::Plain)];
    let mut cut = frames(1, &block(&fields), &Frame::default());
    cut[4] = 0; // no END_HEADERS
    let connection =
        |fields: &[Field]| [PREFACE, &cut, &frames(3, &block(fields), &Frame::default())].concat();
    let seen = rewrite_connection(&connection(&fields), 5);
    let after = connection(&rewritten(&fields));
    assert_eq!(seen[PREFACE.len() + cut.len()..], after[PREFACE.len() + cut.len()..]);
}

#[test]
fn what_is_not_http2_is_not_touched() {
    let bytes =
        [&b"GET / HTTP/1.1\r\nhost: a|b\r\n\r\n"[..], &frames(1, &[0x01, 0x01, b'|'], &Frame::default())]
            .concat();
    assert_eq!(rewrite_connection(&bytes, 3), bytes);
}

proptest! {
    #[test]
    fn only_literal_authorities_change(fields in encoder::any_fields()) {
        check_block(&fields);
    }

    #[test]
    fn the_result_does_not_depend_on_how_bytes_arrive(
        blocks in prop::collection::vec((encoder::any_fields(), encoder::any_frame()), 0..6),
        step in 1usize..200,
    ) {
        let connection = |change: fn(&[Field]) -> Vec<Field>| {
            let mut bytes = PREFACE.to_vec();
            for (n, (fields, frame)) in blocks.iter().enumerate() {
                bytes.extend(frames(1 + 2 * n as u32, &block(&change(fields)), frame));
                bytes.extend(encoder::data(1 + 2 * n as u32, b"\x01\x01|"));
            }
            bytes
        };
        prop_assert_eq!(rewrite_connection(&connection(<[Field]>::to_vec), step), connection(rewritten));
    }

    #[test]
    fn any_bytes_pass_at_their_length(noise in prop::collection::vec(any::<u8>(), 0..400), step in 1usize..50) {
        let bytes = [PREFACE, &noise].concat();
        let whole = rewrite_connection(&bytes, bytes.len());
        prop_assert_eq!(whole.len(), bytes.len());
        prop_assert_eq!(rewrite_connection(&bytes, step), whole);
        let mut block = noise.clone();
        hpack::rewrite(&mut block);
        prop_assert_eq!(block.len(), noise.len());
    }
}
