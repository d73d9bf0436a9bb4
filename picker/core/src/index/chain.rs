//! Hashes of a prompt's blocks, each of which stands for the whole prompt up to its end.

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Changed when equal prompts begin to hash to other values.
const VERSION: u64 = 1;

/// Where the chain of a prompt begins: prompts for different models or with different salts share no
/// cache.
pub fn seed(model: &str, cache_salt: Option<&str>) -> u64 {
    let model = xxh3_64_with_seed(model.as_bytes(), VERSION);
    cache_salt.map_or(model, |salt| xxh3_64_with_seed(salt.as_bytes(), model))
}

/// Appends to `out` a hash for each `block` bytes of the text that `parts` are together, the rest at its
/// end included, until `out` has `max` hashes. The hash of a block is the XXH3 of its bytes, seeded with
/// the hash of the block before it.
pub fn extend<'a>(
    seed: u64,
    parts: impl Iterator<Item = &'a [u8]>,
    block: usize,
    max: usize,
    out: &mut Vec<u64>,
) {
    let mut last = seed;
    let mut push = |bytes: &[u8], out: &mut Vec<u64>| {
        last = xxh3_64_with_seed(bytes, last);
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
