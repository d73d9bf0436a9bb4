use proptest::prelude::*;

use super::*;
use crate::parse::tests::wire::{bytes, number, packed, varint as written};

fn read(bytes: &[u8]) -> Vec<(u32, Value)> {
    fields(bytes, 0..bytes.len()).map(|field| (field.number, field.value)).collect()
}

#[test]
fn fields_are_told_by_their_numbers_and_kinds() {
    let fixed = [vec![3 << 3 | 1], vec![7; 8], vec![4 << 3 | 5], vec![7; 4]].concat();
    let message =
        [number(1, 0), number(536_870_911, u64::MAX), bytes(2, "text"), fixed, bytes(5, "")].concat();
    let bytes = |inner: Range<usize>| Value::Bytes { inner, is_whole: true };
    assert_eq!(
        read(&message),
        [
            (1, Value::Varint(0)),
            (536_870_911, Value::Varint(u64::MAX)),
            (2, bytes(19..23)),
            (3, Value::Fixed),
            (4, Value::Fixed),
            (5, bytes(39..39)),
        ]
    );
    let wholes: Vec<_> = fields(&message, 0..message.len()).map(|field| field.whole).collect();
    assert!(wholes.windows(2).all(|pair| pair[0].end == pair[1].start) && wholes[5].end == message.len());
}

#[test]
fn groups_are_skipped_however_deep_they_are() {
    let (open, close) = (vec![1 << 3 | 3], vec![1 << 3 | 4]);
    let deep = [open.repeat(100_000), number(2, 1), close.repeat(100_000), number(3, 1)].concat();
    assert_eq!(read(&deep), [(3, Value::Varint(1))]);
    assert_eq!(read(&[close, number(3, 1)].concat()), []);
    assert_eq!(read(&[open, number(3, 1)].concat()), []);
}

#[test]
fn what_is_wrong_or_cut_off_ends_it() {
    let good = number(1, 1);
    for bad in [
        &[0][..],
        &[7],
        &[6 << 3 | 6],
        &[1 << 3, 0x80],
        &[0x80; 11],
        &[1 << 3 | 1, 0, 0],
        &[2 << 3 | 2, 0x80],
    ] {
        assert_eq!(
            read(&[&good[..], bad, &good].concat()[..good.len() + bad.len()]),
            [(1, Value::Varint(1))],
            "{bad:?}"
        );
    }
    // Of bytes there is what is left, and a length beyond any memory is one of them.
    let cut = Value::Bytes { inner: 2..4, is_whole: false };
    assert_eq!(read(&bytes(2, "abc")[..4]), [(2, cut)]);
    let endless = [vec![2 << 3 | 2], written(u64::MAX), b"ab".to_vec()].concat();
    assert_eq!(read(&endless), []);
    let long = [vec![2 << 3 | 2], written(1 << 40), b"ab".to_vec()].concat();
    assert_eq!(read(&long), [(2, Value::Bytes { inner: 7..9, is_whole: false })]);
}

#[test]
fn packed_numbers_are_read_up_to_the_last_whole_one() {
    let ids = packed(2, &[1, 300, 5_000_000]);
    let of = |end: usize| whole_varints(&ids[..end], &(2..end));
    assert_eq!((2..=ids.len()).map(of).collect::<Vec<_>>(), [0, 1, 1, 3, 3, 3, 3, 7]);
}

proptest! {
    #[test]
    fn any_number_comes_back(value: u64) {
        prop_assert_eq!(read(&number(1, value)), [(1, Value::Varint(value))]);
    }

    #[test]
    fn any_bytes_have_fields_within_them(bytes in prop::collection::vec(any::<u8>(), 0..200), start in 0..50_usize) {
        let start = start.min(bytes.len());
        let mut at = start;
        for field in fields(&bytes, start..bytes.len()) {
            prop_assert!(field.whole.start >= at && field.whole.end <= bytes.len() && !field.whole.is_empty());
            at = field.whole.end;
            if let Value::Bytes { inner, .. } = field.value {
                prop_assert!(inner.start > field.whole.start && inner.end == field.whole.end);
            }
        }
    }
}
