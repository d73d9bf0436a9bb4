//! A cause for which pickers are not ready, as a value.

/// The longest detail, in characters.
const LONGEST: usize = 200;

/// A cause. Whatever pod it is seen at, equal causes are equal values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::strategy) struct Cause {
    /// The word that Kubernetes has for it, where it has one.
    pub reason: &'static str,
    /// What is wrong, without the detail.
    pub what: String,
    /// The words of whoever found it; `None` where they are not there at all times.
    pub detail: Option<String>,
    /// What to do.
    pub fix: String,
}

impl Cause {
    pub fn new(reason: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { reason, what: what.into(), detail: None, fix: fix.into() }
    }

    /// The same with a detail, unless that is empty.
    pub fn detail(self, detail: &str) -> Self {
        let line = detail.split_whitespace().collect::<Vec<_>>().join(" ");
        let detail = short(line.trim_end_matches('.'));
        Self { detail: Some(detail).filter(|detail| !detail.is_empty()), ..self }
    }

    /// The cause in one line.
    pub fn line(&self) -> String {
        let Self { what, detail, fix, .. } = self;
        match detail {
            Some(detail) => format!("{what}: {detail}; {fix}"),
            None => format!("{what}; {fix}"),
        }
    }
}

/// `text` cut to what a message can hold.
fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_one_line() {
        let cause = Cause::new("X", "the image can't be pulled", "correct it");
        assert_eq!(cause.line(), "the image can't be pulled; correct it");
        assert_eq!(
            cause.clone().detail(" not\nfound. ").line(),
            "the image can't be pulled: not found; correct it"
        );
        assert_eq!(cause.clone().detail("."), cause);
        assert_eq!(cause.detail(&"é".repeat(300)).detail.unwrap().chars().count(), LONGEST + 1);
    }
}
