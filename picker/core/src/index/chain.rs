//! Hashes of a prompt's blocks, each of which stands for the whole prompt up to its end.

use smallvec::SmallVec;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Where the chain of a prompt begins: prompts for different models or with different salts share no
/// cache.
pub fn seed(model: &str, cache_salt: Option<&str>) -> u64 {
    let model = xxh3_64(model.as_bytes());
    cache_salt.map_or(model, |salt| xxh3_64_with_seed(salt.as_bytes(), model))
}

/// The hash of a block with these bytes after a block with the hash `before`. Where the bytes are the same, another
/// `before` always gives another result, because the steps can be undone (they are those of SplitMix64, by Sebastiano
/// Vigna); where `before` is the same, other bytes do so as far as their XXH3 is another.
///
/// XXH3 could be seeded with `before` instead, but makes a table of 192 bytes anew for each seed.
fn link(before: u64, bytes: &[u8]) -> u64 {
    let mut hash = xxh3_64(bytes) ^ before.rotate_left(32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash = (hash ^ hash >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ hash >> 31
}

/// Appends to `out` a hash for each `block` bytes of the text that `parts` are together, the rest at its
/// end included, until `out` has `max` hashes. The hash of a block is the XXH3 of its bytes, mixed with the hash
/// of the block before it, which for the first is `seed`.
pub fn extend<'a>(
    seed: u64,
    parts: impl Iterator<Item = &'a [u8]>,
    block: usize,
    max: usize,
    out: &mut Vec<u64>,
) {
    let mut last = seed;
    let mut push = |bytes: &[u8], out: &mut Vec<u64>| {
        last = link(last, bytes);
        out.push(last);
    };
    // A block that begins in one part and ends in another.
    let mut across: SmallVec<[u8; 256]> = SmallVec::new();
    for mut part in parts {
        if !across.is_empty() {
            let (head, rest) = part.split_at(part.len().min(block - across.len()));
            across.extend_from_slice(head);
            part = rest;
            if across.len() < block {
                continue;
            }
            if out.len() >= max {
                return;
            }
            push(&across, out);
            across.clear();
        }
        let mut blocks = part.chunks_exact(block);
        for bytes in &mut blocks {
            if out.len() >= max {
                return;
            }
            push(bytes, out);
        }
        across.extend_from_slice(blocks.remainder());
    }
    if !across.is_empty() && out.len() < max {
        push(&across, out);
    }
}

#[cfg(test)]
mod tests;
