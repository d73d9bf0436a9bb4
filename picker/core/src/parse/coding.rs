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

/// The names of a coding that can be undone, in lower case.
const KNOWN: [(&[&str], Coding); 4] = [
    (&["gzip", "x-gzip"], Coding::Gzip),
    (&["deflate"], Coding::Deflate),
    (&["br"], Coding::Brotli),
    (&["zstd"], Coding::Zstd),
];

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

fn known(name: &[u8]) -> Option<Coding> {
    KNOWN.into_iter().find(|(names, _)| is_one_of(name, names)).map(|(_, coding)| coding)
}

/// More of them on one body are not undone.
const MOST: usize = 3;

/// The codings of a body, in the order in which they were applied; `None` when one of them is not known, or they are too
/// many.
pub fn codings(headers: &Headers) -> Option<SmallVec<[Coding; MOST]>> {
    let mut codings = SmallVec::new();
    let values = headers.0.iter().filter(|(name, _)| name == "content-encoding").map(|(_, value)| value);
    for name in values.flat_map(|value| value.split(|b| *b == b',')).map(<[u8]>::trim_ascii) {
        if is_one_of(name, &["", "identity"]) {
            continue;
        }
        let coding = known(name)?;
        if codings.len() == MOST {
            return None;
        }
        codings.push(coding);
    }
    Some(codings)
}

/// How the compressed ones of a body's gRPC messages are compressed (`grpc-encoding` in gRPC's `PROTOCOL-HTTP2.md`): `None`
/// within where none are, and else where that is not known.
pub fn of_messages(headers: &Headers) -> Option<Option<Coding>> {
    match headers.get("grpc-encoding").map(<[u8]>::trim_ascii) {
        None => Some(None),
        Some(name) if is_one_of(name, &["", "identity"]) => Some(None),
        Some(name) => known(name).map(Some),
    }
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

    #[test]
    fn the_coding_of_messages_is_one_name() {
        let of = |value: Option<&'static str>| {
            of_messages(&Headers(
                value.map(|value| ("grpc-encoding".into(), value.into())).into_iter().collect(),
            ))
        };
        assert_eq!([None, Some(""), Some("identity"), Some(" Identity ")].map(of), [Some(None); 4]);
        let known = [Some("gzip"), Some("deflate"), Some("br"), Some("zstd")].map(of);
        assert_eq!(
            known,
            [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd].map(|c| Some(Some(c)))
        );
        assert_eq!([Some("snappy"), Some("gzip, gzip")].map(of), [None; 2]);
    }
}
