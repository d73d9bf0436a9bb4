//! Selectors of series: `name` or `name{label=value, other="value"}`, the part of PromQL's instant vector selectors
//! that compares for equality. Quotes around a value may be left out.
//! Syntax: <https://prometheus.io/docs/prometheus/latest/querying/basics/#instant-vector-selectors>

use std::fmt;

/// Says which series of a page are meant: those of this name that have these labels, among others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    /// Name of the metric.
    pub name: String,
    /// Names and values of labels.
    pub labels: Vec<(String, String)>,
}

impl Selector {
    /// Of these parts.
    pub fn of(name: &str, labels: &[(&str, &str)]) -> Self {
        let labels = labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { name: name.to_owned(), labels }
    }

    /// Reads a selector.
    ///
    /// # Errors
    /// When `text` is none: what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
        let (name, rest) = text.split_at(end.unwrap_or(text.len()));
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(wrong(text, "it begins with the name of a metric"));
        }
        let mut selector = Self { name: name.to_owned(), labels: Vec::new() };
        let rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(selector);
        }
        let Some(mut rest) = rest.strip_prefix('{') else {
            return Err(wrong(text, "after the name, only labels in braces may follow"));
        };
        loop {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix('}') {
                return match after.trim() {
                    "" => Ok(selector),
                    _ => Err(wrong(text, "nothing may follow the closing brace")),
                };
            }
            let (label, after) = label(rest).map_err(|problem| wrong(text, problem))?;
            selector.labels.push(label);
            rest = after.trim_start();
            match rest.strip_prefix(',') {
                Some(after) => rest = after,
                None if rest.starts_with('}') => {}
                None => return Err(wrong(text, "labels are separated by commas, and closed by a brace")),
            }
        }
    }
}

fn wrong(text: &str, problem: &str) -> String {
    format!("{text:?} is no selector of series: {problem}; write name or name{{label=value}}")
}

/// The first label and its value, and what follows.
fn label(text: &str) -> Result<((String, String), &str), &'static str> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("a label has a name");
    }
    let rest = rest.trim_start();
    let Some(rest) = rest.strip_prefix('=').filter(|rest| !rest.starts_with('~')) else {
        return Err("labels are compared with = alone");
    };
    let rest = rest.trim_start();
    let (value, rest) = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => quoted(&rest[1..], quote)?,
        _ => {
            let end = rest.find([',', '}']).ok_or("the braces are not closed")?;
            (rest[..end].trim_end().to_owned(), &rest[end..])
        }
    };
    Ok(((name.to_owned(), value), rest))
}

/// A value up to its closing `quote`, its escapes resolved, and what follows.
fn quoted(text: &str, quote: char) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, other)) => value.push(other),
                None => break,
            },
            c if c == quote => return Ok((value, &text[at + c.len_utf8()..])),
            c => value.push(c),
        }
    }
    Err("a quote is not closed")
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (i, (name, value)) in self.labels.iter().enumerate() {
            let open = if i == 0 { '{' } else { ',' };
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(f, "{open}{name}=\"{value}\"")?;
        }
        if self.labels.is_empty() { Ok(()) } else { f.write_str("}") }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("up", "up", &[])]
    #[case(" vllm:num_requests_waiting ", "vllm:num_requests_waiting", &[])]
    #[case("a{}", "a", &[])]
    #[case("a{b=c}", "a", &[("b", "c")])]
    #[case("a { b = c , d = \"e\", }", "a", &[("b", "c"), ("d", "e")])]
    #[case("a{b='c}',d=\"\\\"\\\\\\n,\"}", "a", &[("b", "c}"), ("d", "\"\\\n,")])]
    #[case("a{b=}", "a", &[("b", "")])]
    fn reads(#[case] text: &str, #[case] name: &str, #[case] labels: &[(&str, &str)]) {
        assert_eq!(Selector::parse(text), Ok(Selector::of(name, labels)));
    }

    #[rstest]
    #[case("", "it begins with the name of a metric")]
    #[case("1a", "it begins with the name of a metric")]
    #[case("{a=b}", "it begins with the name of a metric")]
    #[case("a b", "after the name, only labels in braces may follow")]
    #[case("a[5m]", "after the name, only labels in braces may follow")]
    #[case("a{b=c} offset 5m", "nothing may follow the closing brace")]
    #[case("a{b!=c}", "labels are compared with = alone")]
    #[case("a{b=~c}", "labels are compared with = alone")]
    #[case("a{b}", "labels are compared with = alone")]
    #[case("a{=c}", "a label has a name")]
    #[case("a{b=c", "the braces are not closed")]
    #[case("a{b=\"c}", "a quote is not closed")]
    #[case("a{b=\"c\" d=e}", "labels are separated by commas, and closed by a brace")]
    fn refuses(#[case] text: &str, #[case] problem: &str) {
        let message =
            format!("{text:?} is no selector of series: {problem}; write name or name{{label=value}}");
        assert_eq!(Selector::parse(text), Err(message));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,8}",
            labels in prop::collection::vec(("[a-zA-Z_][a-zA-Z0-9_]{0,4}", "[a-z{}=,\"' é]{0,6}"), 0..4),
        ) {
            let selector = Selector { name, labels };
            prop_assert_eq!(Selector::parse(&selector.to_string()), Ok(selector));
        }

        #[test]
        fn no_text_breaks_it(text in "[a{}=\",' \\\\!~é]{0,12}") {
            if let Ok(selector) = Selector::parse(&text) {
                prop_assert_eq!(Selector::parse(&selector.to_string()), Ok(selector));
            }
        }
    }
}
