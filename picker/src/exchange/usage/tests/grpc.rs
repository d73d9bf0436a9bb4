use proptest::prelude::*;

use super::*;

const GENERATE: &str = "/vllm.grpc.engine.VllmEngine/Generate";
const EMBED: &str = "/vllm.grpc.engine.VllmEngine/Embed";

/// A field of a message.
#[derive(Clone, Debug)]
enum Field {
    Number(u32, u64),
    Bytes(u32, Vec<u8>),
    Fixed(u32),
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn message(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    for field in fields {
        match field {
            Field::Number(number, value) => {
                varint(u64::from(number << 3), &mut out);
                varint(*value, &mut out);
            }
            Field::Bytes(number, value) => {
                varint(u64::from(number << 3 | 2), &mut out);
                varint(value.len() as u64, &mut out);
                out.extend(value);
            }
            Field::Fixed(number) => {
                varint(u64::from(number << 3 | 5), &mut out);
                out.extend(1.5_f32.to_le_bytes());
            }
        }
    }
    out
}

fn frame(compressed: bool, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[u8::from(compressed)][..], &length, message].concat()
}

/// A frame with a chunk of these counts.
fn chunk(prompt: u64, made: u64, cached: u64) -> Vec<u8> {
    let ids = Field::Bytes(1, vec![0x96, 0x01, 7]);
    let counts = [ids, Field::Number(2, prompt), Field::Number(3, made), Field::Number(4, cached)];
    frame(false, &message(&[Field::Bytes(1, message(&counts))]))
}

/// The same with the message at the end.
fn complete(prompt: u64, made: u64, cached: u64) -> Vec<u8> {
    let counts = [
        Field::Bytes(1, vec![0x96, 0x01, 7]),
        Field::Bytes(2, b"stop".to_vec()),
        Field::Number(3, prompt),
        Field::Number(4, made),
        Field::Number(5, cached),
        Field::Fixed(6),
    ];
    frame(false, &message(&[Field::Bytes(2, message(&counts))]))
}

fn all(path: &str, answer: &[u8]) -> Option<Tokens> {
    let said = read_of(path, [answer]);
    for cut in 0..=answer.len() {
        let (first, rest) = answer.split_at(cut);
        assert_eq!(read_of(path, [first, rest]), said, "cut at {cut}");
    }
    assert_eq!(read_of(path, answer.chunks(1)), said);
    said
}

#[test]
fn the_last_message_says_the_most() {
    assert_eq!(all(GENERATE, &[chunk(300, 1, 256), chunk(300, 2, 256)].concat()), tokens(300, 256, 2));
    let whole = [chunk(300, 1, 256), complete(300, 3, 256)].concat();
    assert_eq!(all(GENERATE, &whole), tokens(300, 256, 3));
    assert_eq!(all(GENERATE, &complete(5, 1, 0)), tokens(5, 0, 1));
    // As for a prompt that says nothing of the rest: zeros are left out.
    let sparse = frame(false, &message(&[Field::Bytes(2, message(&[Field::Number(3, 5)]))]));
    assert_eq!(all(GENERATE, &sparse), tokens(5, 0, 0));
    assert_eq!(all(GENERATE, &[chunk(7, 1, 0), frame(false, &[])].concat()), tokens(7, 0, 1));
}

#[test]
fn an_embedding_says_what_its_prompt_took() {
    let answer =
        frame(false, &message(&[Field::Bytes(1, vec![0; 40]), Field::Number(2, 12), Field::Number(3, 10)]));
    assert_eq!(all(EMBED, &answer), tokens(12, 0, 0));
    assert_eq!(all(GENERATE, &answer), None);
}

#[test]
fn what_is_compressed_or_broken_says_nothing() {
    let [_, body @ ..] = &complete(5, 1, 0)[..] else { unreachable!() };
    assert_eq!(all(GENERATE, &[&[1], body].concat()), None);
    // It is passed over, and the next frame is read.
    assert_eq!(all(GENERATE, &[&[1], body, &chunk(7, 2, 0)].concat()), tokens(7, 0, 2));
    let group = frame(false, &[0x0b, 1, 2, 3]);
    let too_long = frame(false, &[0x0a, 0x7f, 0x10, 5]);
    let cut_number = frame(false, &[0x0a, 2, 0x10, 0x85]);
    let endless = frame(false, &[[0x0a, 14, 0x10].as_slice(), &[0xff; 12]].concat());
    let zero_head = frame(false, &[0x0a, 0]);
    for broken in [group, too_long, cut_number, endless, zero_head] {
        assert_eq!(all(GENERATE, &broken), None, "{broken:x?}");
        assert_eq!(all(GENERATE, &[broken, chunk(7, 2, 1)].concat()), tokens(7, 1, 2));
    }
    assert_eq!(all(GENERATE, &complete(1 << 40, 16_777_217, 3)), tokens(0, 3, 0));
}

fn fields() -> impl Strategy<Value = Field> {
    prop_oneof![
        (1..9_u32, any::<u64>()).prop_map(|(number, value)| Field::Number(number, value)),
        (1..9_u32, prop::collection::vec(any::<u8>(), 0..20))
            .prop_map(|(number, value)| Field::Bytes(number, value)),
        (1..9_u32).prop_map(Field::Fixed),
    ]
}

proptest! {
    #[test]
    fn any_frames_in_any_pieces_say_the_same(
        frames in prop::collection::vec((any::<bool>(), prop::collection::vec(fields(), 0..5)), 0..5),
        within in prop::collection::vec(fields(), 0..5),
        counts: [u16; 3],
        size in 1_usize..40,
    ) {
        let [prompt, made, cached] = counts.map(u64::from);
        let mut answer: Vec<u8> =
            frames.iter().flat_map(|(compressed, fields)| frame(*compressed, &message(fields))).collect();
        let nested = [Field::Bytes(9, message(&within)), Field::Bytes(1, message(&within))];
        answer.extend(frame(false, &message(&nested)));
        prop_assert_eq!(read_of(GENERATE, answer.chunks(size)), read_of(GENERATE, [&answer[..]]));
        answer.extend(complete(prompt, made, cached));
        let [prompt, made, cached] = counts.map(u32::from);
        prop_assert_eq!(read_of(GENERATE, answer.chunks(size)), tokens(prompt, cached, made));
    }

    #[test]
    fn any_bytes_of_frames_are_harmless(answer: Vec<u8>, size in 1_usize..9, embed: bool) {
        let path = if embed { EMBED } else { GENERATE };
        prop_assert_eq!(read_of(path, answer.chunks(size)), read_of(path, [&answer[..]]));
    }
}
