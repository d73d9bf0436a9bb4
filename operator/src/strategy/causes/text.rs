//! The words of others, as they go into a message: short, and the same each time.

/// The part of `text` after the last `mark`; all of it where that is not in it.
pub(super) fn after<'a>(text: &'a str, mark: &str) -> &'a str {
    text.rfind(mark).map_or(text, |at| &text[at + mark.len()..])
}

/// The part of `text` before the first `mark`; all of it where that is not in it.
pub(super) fn before<'a>(text: &'a str, mark: &str) -> &'a str {
    text.find(mark).map_or(text, |at| &text[..at])
}

/// The text between the quotation marks after `lead`.
pub(super) fn quoted<'a>(text: &'a str, lead: &str) -> Option<&'a str> {
    let rest = text.split_once(lead)?.1.strip_prefix('"')?;
    rest.split_once('"').map(|(quoted, _)| quoted)
}

/// `text` without what is another at each attempt: hashes, ports of a client, identities.
pub(super) fn steady(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let run = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        if run == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (word, after) = rest.split_at(run);
        let number = word.len() >= 5 && word.bytes().all(|b| b.is_ascii_digit());
        let hash = word.len() >= 12
            && word.bytes().all(|b| b.is_ascii_hexdigit())
            && word.bytes().any(|b| b.is_ascii_digit());
        out.push_str(if number || hash { "…" } else { word });
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_at_each_attempt_is_left_out() {
        let sandbox = "failed to setup network for sandbox \"0f3c5d7e9a1b2c3d4e5f\": no CIDR";
        assert_eq!(steady(sandbox), "failed to setup network for sandbox \"…\": no CIDR");
        let lookup = "lookup r.example on 10.96.0.10:53: read udp 10.1.0.7:43211->10.96.0.10:53: i/o timeout";
        assert_eq!(
            steady(lookup),
            "lookup r.example on 10.96.0.10:53: read udp 10.1.0.7:…->10.96.0.10:53: i/o timeout"
        );
        assert_eq!(steady("image r/picker:0.1.0 é"), "image r/picker:0.1.0 é");
    }

    #[test]
    fn parts_of_a_text_are_found() {
        assert_eq!(after("a = b = c", "= "), "c");
        assert_eq!(after("a", "= "), "a");
        assert_eq!(before("a. b. c", ". "), "a");
        assert_eq!(quoted("volume \"tls\" : x", "volume "), Some("tls"));
        assert_eq!(quoted("volume tls", "volume "), None);
    }
}
