//! Token ids without a model's vocabulary: four bytes of text are one token.
//!
//! That is the usual estimate for English text. The id is the four bytes themselves, so equal prefixes of text have
//! equal prefixes of tokens, and nothing has to be loaded.

use crate::vocabulary::TOKEN_BYTES;

/// Begins a message of a chat. Not UTF-8, so no text can hold it.
const START: u32 = 0xFFFF_FF01;
/// Parts the role of a message from its content.
const CONTENT: u32 = 0xFFFF_FF02;
/// Ends a message of a chat.
const END: u32 = 0xFFFF_FF03;

/// Appends the tokens of `text`; the last one is filled up with zero bytes.
pub fn push_text(tokens: &mut Vec<u32>, text: &str) {
    tokens.reserve(text.len().div_ceil(TOKEN_BYTES));
    let (whole, rest) = text.as_bytes().as_chunks::<TOKEN_BYTES>();
    tokens.extend(whole.iter().map(|chunk| u32::from_le_bytes(*chunk)));
    if !rest.is_empty() {
        let mut last = [0; TOKEN_BYTES];
        last[..rest.len()].copy_from_slice(rest);
        tokens.push(u32::from_le_bytes(last));
    }
}

/// The tokens of a text.
pub fn text(text: &str) -> Vec<u32> {
    let mut tokens = Vec::new();
    push_text(&mut tokens, text);
    tokens
}

/// A chat being rendered: what a chat template does for a real model.
#[derive(Debug, Default)]
pub struct ChatTemplate {
    tokens: Vec<u32>,
}

impl ChatTemplate {
    /// Appends a message.
    pub fn message(&mut self, role: &str, content: &str) {
        self.open(role);
        push_text(&mut self.tokens, content);
        self.tokens.push(END);
    }

    /// The whole prompt: the messages so far, and the opening of the assistant's answer.
    pub fn finish(mut self) -> Vec<u32> {
        self.open("assistant");
        self.tokens
    }

    fn open(&mut self, role: &str) {
        self.tokens.push(START);
        push_text(&mut self.tokens, role);
        self.tokens.push(CONTENT);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vocabulary;

    proptest! {
        #[test]
        fn equal_text_prefixes_are_equal_token_prefixes(prefix in ".{0,64}", a in ".{0,32}", b in ".{0,32}") {
            let (left, right) = (text(&format!("{prefix}{a}")), text(&format!("{prefix}{b}")));
            let shared = prefix.len() / TOKEN_BYTES;
            prop_assert_eq!(&left[..shared], &right[..shared]);
            prop_assert_eq!(left.len(), (prefix.len() + a.len()).div_ceil(TOKEN_BYTES));
        }
    }

    #[test]
    fn an_answer_sent_back_has_the_tokens_it_was_generated_with() {
        let mut first = ChatTemplate::default();
        first.message("user", "What is a prefix cache?");
        let asked = first.finish();
        let answer: String = (0..20).map(|i| vocabulary::word(9, i)).collect();

        let mut second = ChatTemplate::default();
        second.message("user", "What is a prefix cache?");
        second.message("assistant", &answer);
        second.message("user", "And a block?");

        let mut expected = asked;
        expected.extend((0..20).map(|i| vocabulary::token(9, i)));
        assert_eq!(second.finish()[..expected.len()], expected);
    }
}
