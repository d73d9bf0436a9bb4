//! JSON text in UTF-16 and UTF-32, told apart from UTF-8 as Python's `json.loads` does for bytes (`json.detect_encoding`
//! of its standard library): vLLM, SGLang and whatever else reads bodies with FastAPI take all of them.

/// An encoding of text with code units of more than one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wide {
    /// UTF-16, the lower byte first.
    Utf16Le,
    /// UTF-16, the higher byte first.
    Utf16Be,
    /// UTF-32, the lowest byte first.
    Utf32Le,
    /// UTF-32, the highest byte first.
    Utf32Be,
}

/// Characters that [`Transcoder::step`] reads at most.
const STEP: usize = 32 << 10;
const BYTE_ORDER_MARK: u32 = 0xfeff;

impl Wide {
    /// The encoding of `body`, `None` for UTF-8: by its byte order mark, else by where its first characters, which in
    /// JSON are of ASCII, have their zeros.
    pub fn of(body: &[u8]) -> Option<Self> {
        match body {
            [0xff, 0xfe, 0, 0, ..] => Some(Self::Utf32Le),
            [0, 0, 0xfe, 0xff, ..] => Some(Self::Utf32Be),
            [0xff, 0xfe, ..] => Some(Self::Utf16Le),
            [0xfe, 0xff, ..] => Some(Self::Utf16Be),
            [0, 0, _, _, ..] => Some(Self::Utf32Be),
            [0, _, _, _, ..] | [0, _] => Some(Self::Utf16Be),
            [_, 0, 0, 0, ..] => Some(Self::Utf32Le),
            [_, 0, _, _, ..] | [_, 0] => Some(Self::Utf16Le),
            _ => None,
        }
    }

    /// Bytes of a code unit.
    fn unit(self) -> usize {
        match self {
            Self::Utf16Le | Self::Utf16Be => 2,
            Self::Utf32Le | Self::Utf32Be => 4,
        }
    }

    /// The most bytes that a body of `length` bytes has in UTF-8.
    pub fn longest(self, length: usize) -> usize {
        // Three for a unit of UTF-16, two of which together make at most four.
        if self.unit() == 2 { length.div_ceil(2).saturating_mul(3) } else { length }
    }
}

/// Turns a body into UTF-8, a part of it at a time.
#[derive(Debug)]
pub struct Transcoder<'a> {
    encoding: Wide,
    rest: &'a [u8],
}

impl<'a> Transcoder<'a> {
    /// Nothing but the byte order mark was read of `body` yet.
    pub fn new(encoding: Wide, body: &'a [u8]) -> Self {
        let mut transcoder = Self { encoding, rest: body };
        if transcoder.peek() == Some(BYTE_ORDER_MARK) {
            transcoder.next();
        }
        transcoder
    }

    /// Appends the next part of the text to `out`; false when there is no more. What is no character (half of a
    /// surrogate pair, which Python takes) becomes U+FFFD; a part of a code unit at the end is left out.
    pub fn step(&mut self, out: &mut String) -> bool {
        for _ in 0..STEP {
            let Some(unit) = self.next() else { return false };
            let code = match (self.encoding.unit(), unit, self.peek()) {
                (2, 0xd800..0xdc00, Some(low @ 0xdc00..0xe000)) => {
                    self.next();
                    0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
                }
                _ => unit,
            };
            out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        true
    }

    fn next(&mut self) -> Option<u32> {
        let unit = self.peek()?;
        self.rest = self.rest.get(self.encoding.unit()..).unwrap_or_default();
        Some(unit)
    }

    fn peek(&self) -> Option<u32> {
        Some(match self.encoding {
            Wide::Utf16Le => u16::from_le_bytes(*self.rest.first_chunk()?).into(),
            Wide::Utf16Be => u16::from_be_bytes(*self.rest.first_chunk()?).into(),
            Wide::Utf32Le => u32::from_le_bytes(*self.rest.first_chunk()?),
            Wide::Utf32Be => u32::from_be_bytes(*self.rest.first_chunk()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn encoded(text: &str, encoding: Wide, mark: bool) -> Vec<u8> {
        let text = if mark { format!("\u{feff}{text}") } else { text.to_owned() };
        match encoding {
            Wide::Utf16Le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Wide::Utf16Be => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            Wide::Utf32Le => text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect(),
            Wide::Utf32Be => text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect(),
        }
    }

    fn decoded(encoding: Wide, body: &[u8]) -> String {
        let (mut transcoder, mut out) = (Transcoder::new(encoding, body), String::new());
        while transcoder.step(&mut out) {}
        out
    }

    const ALL: [Wide; 4] = [Wide::Utf16Le, Wide::Utf16Be, Wide::Utf32Le, Wide::Utf32Be];

    #[test]
    fn bodies_are_told_apart_with_and_without_a_byte_order_mark() {
        for text in ["{}", "{\"a\":\"é😀\"}", " \n{\"model\":\"ü\"}", "[", "日"] {
            assert_eq!(Wide::of(text.as_bytes()), None, "{text}");
            assert_eq!(Wide::of(format!("\u{feff}{text}").as_bytes()), None, "{text}");
            for encoding in ALL {
                let marked = encoded(text, encoding, true);
                assert_eq!(Wide::of(&marked), Some(encoding), "{text}");
                assert_eq!(decoded(encoding, &marked), text);
                if text.is_ascii() && text.len() > 1 {
                    assert_eq!(Wide::of(&encoded(text, encoding, false)), Some(encoding), "{text}");
                }
            }
        }
        // A single character that is followed by one outside of ASCII: what Python says of two and of four bytes.
        assert_eq!(Wide::of(b"{\0"), Some(Wide::Utf16Le));
        assert_eq!(Wide::of(b"\0{"), Some(Wide::Utf16Be));
        assert_eq!([&b""[..], b"{", b"{\0\"", b"{\"a\":1}"].map(Wide::of), [None; 4]);
    }

    #[rstest]
    #[case::lone_high(Wide::Utf16Be, &[0xd8, 0x3d, 0, b'a'], "\u{fffd}a")]
    #[case::lone_low(Wide::Utf16Be, &[0xde, 0, 0, b'a'], "\u{fffd}a")]
    #[case::high_at_the_end(Wide::Utf16Le, &[b'a', 0, 0x3d, 0xd8], "a\u{fffd}")]
    #[case::half_a_unit(Wide::Utf16Le, &[b'a', 0, b'b'], "a")]
    #[case::pair_in_utf_32(Wide::Utf32Be, &[0, 0, 0xd8, 0x3d, 0, 0, 0xde, 0], "\u{fffd}\u{fffd}")]
    #[case::beyond_unicode(Wide::Utf32Be, &[0, 0x11, 0, 0, 0, 0, 0, b'a'], "\u{fffd}a")]
    #[case::nothing(Wide::Utf32Be, &[], "")]
    fn what_is_no_character_is_replaced(#[case] encoding: Wide, #[case] body: &[u8], #[case] text: &str) {
        assert_eq!(decoded(encoding, body), text);
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text: String, mark: bool, long in 1..3000_usize) {
            let text = text.repeat(long);
            // A text may itself begin with a byte order mark, which is then taken for one.
            prop_assume!(!text.starts_with('\u{feff}'));
            for encoding in ALL {
                let body = encoded(&text, encoding, mark);
                prop_assert_eq!(decoded(encoding, &body), text.clone());
                prop_assert!(text.len() <= encoding.longest(body.len()));
            }
        }
    }
}
