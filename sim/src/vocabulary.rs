//! The words that simulated answers are made of.
//!
//! Every word is four bytes long, blank included, which is exactly one token of the [`tokenizer`](crate::tokenizer). An
//! answer that comes back as history of a conversation therefore has the token ids it was generated with, and its
//! blocks are found in the prefix cache, as with a real engine.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes of one word, and of one token.
pub const TOKEN_BYTES: usize = 4;

/// The words. Plain ASCII that needs no escape in JSON.
const WORDS: [&str; 64] = [
    "the ", "and ", "was ", "for ", "are ", "with", " of ", " to ", " in ", " is ", "you ", "not ", "all ",
    "can ", "her ", "one ", "our ", "out ", "day ", "get ", "has ", "him ", "his ", "how ", "man ", "new ",
    "now ", "old ", "see ", "two ", "way ", "who ", "boy ", "did ", "its ", "let ", "put ", "say ", "she ",
    "too ", "use ", "dog ", "cat ", "sun ", "sea ", "air ", "red ", "big ", "low ", "end ", "far ", "few ",
    "own ", "run ", "set ", "try ", "yes ", "map ", "key ", "box ", "car ", "ice ", "joy ", "sky ",
];

/// The word at position `index` of the answer with this seed.
pub fn word(seed: u64, index: u32) -> &'static str {
    // Reduced to the size of the table: in range.
    WORDS[(xxh3_64_with_seed(&index.to_le_bytes(), seed) % WORDS.len() as u64) as usize]
}

/// The token id at position `index` of the answer with this seed: the bytes of its [`word`].
pub fn token(seed: u64, index: u32) -> u32 {
    let mut id = [0; TOKEN_BYTES];
    id.copy_from_slice(word(seed, index).as_bytes());
    u32::from_le_bytes(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_one_token_and_safe_in_json() {
        for word in WORDS {
            assert_eq!(word.len(), TOKEN_BYTES, "{word:?}");
            assert_eq!(serde_json::to_string(word).unwrap(), format!("\"{word}\""));
        }
    }

    #[test]
    fn an_answer_depends_on_its_seed_alone() {
        let text = |seed| (0..8).map(|i| word(seed, i)).collect::<String>();
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
    }

    #[test]
    fn a_token_spells_its_word() {
        assert_eq!(token(7, 3).to_le_bytes(), word(7, 3).as_bytes());
    }
}
