//! Label selectors as text: `app=vllm,tier in (a,b),!canary`.

use super::{LabelSelector, Operator, Requirement, syntax};

impl LabelSelector {
    /// Reads a selector as kubectl takes it: requirements separated by commas.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut selector = Self::default();
        let mut rest = text;
        loop {
            let end = end_of_first(rest);
            selector.match_expressions.push(requirement(rest[..end].trim())?);
            match rest.get(end + 1..) {
                Some(next) => rest = next,
                None => return Ok(selector),
            }
        }
    }
}

/// Where the first requirement of `text` ends: at a comma outside of parentheses.
fn end_of_first(text: &str) -> usize {
    let mut depth = 0_usize;
    let comma = text.bytes().position(|byte| {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        byte == b',' && depth == 0
    });
    comma.unwrap_or(text.len())
}

fn requirement(text: &str) -> Result<Requirement, String> {
    let (key, operator, values) = if let Some(key) = text.strip_prefix('!') {
        (key, Operator::DoesNotExist, Vec::new())
    } else if let Some((key, value)) = text.split_once("!=") {
        (key, Operator::NotIn, vec![value])
    } else if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        (key, Operator::In, vec![value])
    } else if let Some((before, list)) = text.split_once('(') {
        let list = list.strip_suffix(')').ok_or_else(|| unreadable(text))?;
        let (key, operator) =
            before.trim().rsplit_once(char::is_whitespace).ok_or_else(|| unreadable(text))?;
        let operator = match operator {
            "in" => Operator::In,
            "notin" => Operator::NotIn,
            _ => return Err(unreadable(text)),
        };
        (key, operator, list.split(',').collect())
    } else {
        (text, Operator::Exists, Vec::new())
    };
    let key = key.trim();
    syntax::key(key).map_err(|_| unreadable(text))?;
    let values: Vec<String> = values.into_iter().map(|value| value.trim().to_owned()).collect();
    values.iter().try_for_each(|value| syntax::value(value))?;
    Ok(Requirement { key: key.to_owned(), operator, values })
}

fn unreadable(text: &str) -> String {
    format!(
        "{text:?} is no requirement of a label selector; write key=value, key!=value, key in (a,b), key notin (a,b), key or !key"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Labels;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels: Labels = labels.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        LabelSelector::parse(selector).unwrap_or_else(|e| panic!("{selector}: {e}")).matches(&labels)
    }

    #[test]
    fn a_selector_is_read_as_kubectl_reads_it() {
        let labels = [("app", "vllm"), ("example.com/tier", "a"), ("empty", "")];
        let table = [
            ("app=vllm", true),
            ("app == vllm", true),
            (" app = sglang ", false),
            ("app!=vllm", false),
            ("app != sglang,other!=x", true),
            ("example.com/tier in (b, a)", true),
            ("example.com/tier in (b),app", false),
            ("example.com/tier notin(a,b)", false),
            ("other notin (a)", true),
            ("app", true),
            ("!app", false),
            ("! other , app", true),
            ("empty=", true),
            ("empty in ()", true),
        ];
        assert_eq!(table.map(|(selector, _)| (selector, matches(selector, &labels))), table);
    }

    #[test]
    fn what_is_none_is_refused_with_what_can_be_written() {
        for text in
            ["", "a=b,", ",a", "a b", "a in b", "a in (b", "a > 5", "a of (b)", "a=b=c d", "a in (b)c", "-a"]
        {
            let error = LabelSelector::parse(text).err().unwrap_or_else(|| panic!("{text}"));
            assert!(error.contains("is no "), "{text}: {error}");
        }
        assert_eq!(
            LabelSelector::parse("app>5").err().unwrap(),
            "\"app>5\" is no requirement of a label selector; write key=value, key!=value, key in (a,b), key notin (a,b), key \
             or !key"
        );
    }
}
