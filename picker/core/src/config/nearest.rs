//! Suggestions for a name that does not exist: the nearest one that does, and the list of all.

/// How alike two names must be, from 0 to 1, for one to be taken for a slip of the other.
const ALIKE: f64 = 0.84;
/// Longer names are no slips, and take long to compare.
const LONGEST: usize = 64;
/// Longest list of names, in bytes.
const MAX_LIST: usize = 4096;

/// The one of `known` that is most like `written`, if one is like it at all. Capitals count as small letters, and
/// underscores as hyphens.
pub(crate) fn nearest<'n>(written: &str, known: &[&'n str]) -> Option<&'n str> {
    if written.len() > LONGEST {
        return None;
    }
    let plain = |name: &str| name.to_lowercase().replace('_', "-");
    let wanted = plain(written);
    // A slip is seldom in the first letter, and encode is no slip of decode.
    let begins_so = |name: &&&str| plain(name).chars().next() == wanted.chars().next();
    let alike = |name: &&'n str| (strsim::jaro_winkler(&wanted, &plain(name)), *name);
    let best = known.iter().filter(begins_so).map(alike).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= ALIKE).then_some(best.1)
}

/// `names` in one line; of very many the first ones.
pub(crate) fn joined(names: &[&str]) -> String {
    let mut list = String::new();
    for name in names {
        if !list.is_empty() {
            list.push_str(", ");
        }
        if list.len() + name.len() > MAX_LIST {
            list.push('…');
            break;
        }
        list.push_str(name);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_names_are_not() {
        let known = [
            "queue-scorer",
            "prefix-cache-scorer",
            "kv-cache-utilization-scorer",
            "random-picker",
            "maxNumOfEndpoints",
            "weight",
        ];
        for (written, wanted) in [
            ("random-pikcer", Some("random-picker")),
            ("Queue_Scorer", Some("queue-scorer")),
            ("prefix-scorer", Some("prefix-cache-scorer")),
            ("kv-cache-utilisation-scorer", Some("kv-cache-utilization-scorer")),
            ("maxNumOfEndpoint", Some("maxNumOfEndpoints")),
            ("wieght", Some("weight")),
            ("height", None),
            ("nobody", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, &known), wanted, "{written}");
        }
        assert_eq!(nearest(&"queue-scorer".repeat(6), &known), None);
        assert_eq!(nearest("queue-scorer", &[]), None);
    }

    #[test]
    fn lists_end_between_names() {
        assert_eq!(joined(&["a", "b"]), "a, b");
        let long = "x".repeat(2000);
        assert_eq!(joined(&[&long, &long, &long]), format!("{long}, {long}, …"));
    }
}
