use super::*;
use proptest::prelude::*;

fn hashes(text: &str, block: usize, max: usize) -> Vec<u64> {
    let mut out = Vec::new();
    extend(7, [text.as_bytes()].into_iter(), block, max, &mut out);
    out
}

#[test]
fn each_block_is_hashed_with_the_one_before_and_the_rest_counts() {
    let first = link(7, b"abcd");
    let second = link(first, b"efgh");
    let rest = link(second, b"ij");
    assert_eq!(hashes("abcdefghij", 4, 9), [first, second, rest]);
    assert_eq!(hashes("abcdefgh", 4, 9), [first, second]);
    assert_eq!(hashes("abcdefghij", 4, 2), [first, second]);
    assert!(hashes("", 4, 9).is_empty());
}

#[test]
fn other_models_and_salts_begin_elsewhere() {
    let seeds = [
        seed("a", None),
        seed("b", None),
        seed("a", Some("")),
        seed("a", Some("s")),
        seed("as", None),
        seed("", None),
    ];
    let different: std::collections::BTreeSet<_> = seeds.into_iter().collect();
    assert_eq!(different.len(), seeds.len());
    assert_eq!(seed("a", Some("s")), seed("a", Some("s")));
}

#[test]
fn a_block_after_another_one_never_hashes_alike() {
    // Worked out with another implementation of XXH3.
    assert_eq!((link(7, b"abcd"), link(0, b"")), (0xf550_339e_ef08_646e, 0x45a7_da59_9a3a_55b0));
    let befores: std::collections::BTreeSet<_> = (0..10_000).map(|before| link(before, b"abcd")).collect();
    assert_eq!(befores.len(), 10_000);
}

proptest! {
    #[test]
    fn parts_are_one_text(parts in prop::collection::vec("[ab]{0,20}", 0..6), block in 1..9_usize, max in 0..12_usize) {
        let mut out = Vec::new();
        extend(7, parts.iter().map(|p| p.as_bytes()), block, max, &mut out);
        prop_assert_eq!(out, hashes(&parts.concat(), block, max));
    }

    #[test]
    fn equal_beginnings_hash_equally_and_only_they(a in "[ab]{0,40}", b in "[ab]{0,40}", block in 1..9_usize) {
        let blocks = |text: &str| text.as_bytes().chunks(block).map(<[u8]>::to_vec).collect::<Vec<_>>();
        let common = blocks(&a).iter().zip(blocks(&b)).take_while(|(a, b)| **a == *b).count();
        let (a, b) = (hashes(&a, block, 99), hashes(&b, block, 99));
        for (n, (a, b)) in a.iter().zip(&b).enumerate() {
            prop_assert_eq!(a == b, n < common);
        }
    }
}
