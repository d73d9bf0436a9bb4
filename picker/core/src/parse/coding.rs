//! Content codings of bodies (RFC 9110, section 8.4.1): those that can be undone.

use smallvec::SmallVec;

use crate::request::Headers;

/// A way in which bodies are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `gzip` (RFC 1952).
    Gzip,
    /// `deflate`: in zlib's format (RFC 1950), or, as some clients send it, without (RFC 1951).
    Deflate,
    /// `br` (RFC 7932).
    Brotli,
    /// `zstd` (RFC 8878).
    Zstd,
}

/// More of them on one body are not undone.
const MOST: usize = 3;

/// The codings of a body, in the order in which they were applied; `None` when one of them is not known, or they are too
/// many.
pub fn codings(headers: &Headers) -> Option<SmallVec<[Coding; MOST]>> {
    let mut codings = SmallVec::new();
    let values = headers.0.iter().filter(|(name, _)| name == "content-encoding").map(|(_, value)| value);
    for name in values.flat_map(|value| value.split(|b| *b == b',')).map(<[u8]>::trim_ascii) {
        let is = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
        if is(&["", "identity"]) {
            continue;
        }
        let known = [
            (&["gzip", "x-gzip"][..], Coding::Gzip),
            (&["deflate"], Coding::Deflate),
            (&["br"], Coding::Brotli),
            (&["zstd"], Coding::Zstd),
        ];
        let (_, coding) = known.into_iter().find(|(names, _)| is(names))?;
        if codings.len() == MOST {
            return None;
        }
        codings.push(coding);
    }
    Some(codings)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn codings_are_names_in_any_number_of_headers() {
        let of = |values: &[&'static str]| {
            let header = |value: &&'static str| (Bytes::from("content-encoding"), Bytes::from(*value));
            codings(&Headers(values.iter().map(header).collect())).map(|codings| codings.to_vec())
        };
        use Coding::*;
        assert_eq!(of(&[]), Some(vec![]));
        assert_eq!(of(&["identity"]), Some(vec![]));
        assert_eq!(of(&["", " , Identity"]), Some(vec![]));
        assert_eq!(of(&["GZIP"]), Some(vec![Gzip]));
        assert_eq!(of(&["x-gzip,identity , br"]), Some(vec![Gzip, Brotli]));
        assert_eq!(of(&["deflate", "zstd"]), Some(vec![Deflate, Zstd]));
        assert_eq!(of(&["gzip, gzip, gzip, gzip"]), None);
        assert_eq!([of(&["compress"]), of(&["gzip, lzma"]), of(&["gzip;q=1"])], [None, None, None]);
    }
}
