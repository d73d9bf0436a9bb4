//! The labels of a series in the Prometheus text format.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// The labels of one series, as they stand in the text; empty when it has none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Labels<'a>(&'a [u8]);

impl<'a> Labels<'a> {
    /// Value of the label called `name`, its escapes resolved; what is no UTF-8 in it is replaced.
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        let (_, raw) = self.iter().find(|(found, _)| *found == name.as_bytes())?;
        Some(match unescape(raw) {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        })
    }

    /// Names and raw values, in the order of the text.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (name, raw, after) = next(rest)?;
            rest = after;
            Some((name, raw))
        })
    }
}

/// Splits what follows an opening brace into the labels and what follows the closing brace. `None` when
/// there is no closing brace outside of a quoted value.
pub(super) fn split(text: &[u8]) -> Option<(Labels<'_>, &[u8])> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'}', &text[at..])?;
        if text[at] == b'}' {
            return Some((Labels(&text[..at]), &text[at + 1..]));
        }
        at += 1;
        at += quoted(&text[at..])? + 1;
    }
}

/// Length of a quoted value up to its closing quote.
fn quoted(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// The first label: its name, its raw value, and what follows.
fn next(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let equals = memchr(b'=', text)?;
    let name = text[..equals].trim_ascii();
    let name = name.strip_prefix(b",").unwrap_or(name).trim_ascii_start();
    let value = text[equals + 1..].trim_ascii_start().strip_prefix(b"\"")?;
    let end = quoted(value)?;
    Some((name, &value[..end], &value[end + 1..]))
}

/// Resolves the escapes of a label's value.
fn unescape(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'\\', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next() {
                Some(b'n') => out.push(b'\n'),
                Some(other @ (b'\\' | b'"')) => out.push(other),
                Some(other) => out.extend([b'\\', other]),
                None => out.push(b'\\'),
            },
            plain => out.push(plain),
        }
    }
    Cow::Owned(out)
}
