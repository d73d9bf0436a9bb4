//! Errors in the order of the text.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{ConfigError, Errors};

/// How many errors are told. Whoever wrote more has something else to correct than each of them.
pub(crate) const MAX_TOLD: usize = 32;
/// Of how many errors the places are looked for, which takes as long as their surroundings are large.
const MAX_SORTED: usize = 4 * MAX_TOLD;

/// What is told of `errors`: the first ones by where in `body` their fields are, and how many more there are.
/// A field that isn't there comes after its siblings.
pub(crate) fn told(mut errors: Vec<ConfigError>, body: &Value) -> Errors {
    let more = errors.len().saturating_sub(MAX_TOLD);
    errors.truncate(MAX_SORTED);
    errors.sort_by_cached_key(|error| position(body, &error.path));
    errors.truncate(MAX_TOLD);
    let mut lists = BTreeSet::new();
    errors.iter_mut().for_each(|error| error.tell_list(&mut lists));
    if let Some(last) = errors.last().filter(|_| more > 0) {
        errors.push(ConfigError::new("", last.kind, format!("and at least {more} more")));
    }
    Errors(errors)
}

/// Index at each level of the way to `path`.
fn position(mut value: &Value, mut path: &str) -> Vec<usize> {
    let mut position = Vec::new();
    while !path.is_empty() {
        let Some((index, inner, rest)) = step(value, path) else {
            position.push(usize::MAX);
            break;
        };
        position.push(index);
        value = inner;
        path = rest.strip_prefix('.').unwrap_or(rest);
    }
    position
}

fn step<'v, 'p>(value: &'v Value, path: &'p str) -> Option<(usize, &'v Value, &'p str)> {
    match value {
        Value::Array(items) => {
            let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
            let index = index.parse().ok()?;
            Some((index, items.get(index)?, rest))
        }
        // A name may itself have dots, so the longest that fits is the one.
        Value::Object(fields) => fields
            .iter()
            .enumerate()
            .filter_map(|(i, (name, inner))| {
                let rest = path.strip_prefix(name.as_str())?;
                let ends = rest.is_empty() || rest.starts_with(['.', '[']);
                ends.then_some((i, inner, rest))
            })
            .min_by_key(|(_, _, rest)| rest.len()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::ErrorKind;

    #[test]
    fn not_all_of_many_errors_are_told() {
        let body = json!({"a": (0..50).collect::<Vec<_>>()});
        let errors = |count: usize| -> Vec<_> {
            (0..count).rev().map(|i| ConfigError::new(format!("a[{i}]"), ErrorKind::Invalid, "x")).collect()
        };
        let all = told(errors(MAX_TOLD), &body).0;
        assert_eq!((all.len(), all[0].path.as_str(), all[31].path.as_str()), (32, "a[0]", "a[31]"));
        let some = told(errors(50), &body).0;
        assert_eq!(some.len(), 33);
        assert_eq!(some[32], ConfigError::new("", ErrorKind::Invalid, "and at least 18 more"));
    }

    #[test]
    fn what_could_stand_there_is_listed_once() {
        let body = json!({"a": 1, "b": 2, "c": 3});
        let unknown = |path: &str, known: &[&str]| {
            let message = format!("no {path}");
            ConfigError::unknown(path, ErrorKind::Invalid, message, "reed", ("known", known))
        };
        let errors = vec![unknown("c", &["red"]), unknown("b", &["red", "blue"]), unknown("a", &["red"])];
        let said = |path: &str, message: &str| ConfigError::new(path, ErrorKind::Invalid, message);
        assert_eq!(
            told(errors, &body).0,
            [
                said("a", "no a; the nearest is \"red\"; known: red"),
                said("b", "no b; the nearest is \"red\"; known: red, blue"),
                said("c", "no c; the nearest is \"red\""),
            ]
        );
    }

    #[test]
    fn follows_a_path_through_lists_mappings_and_names_with_dots() {
        let body = json!({"b": 1, "a": [{"x": 1}, {"y": {"p.q": [0, 0]}, "p": 1}]});
        let table: [(&str, &[usize]); 8] = [
            ("", &[]),
            ("b", &[0]),
            ("a[1]", &[1, 1]),
            ("a[1].y.p.q[1]", &[1, 1, 0, 0, 1]),
            ("a[1].p", &[1, 1, 1]),
            ("a[1].z", &[1, 1, usize::MAX]),
            ("a[7].z", &[1, usize::MAX]),
            ("ab", &[usize::MAX]),
        ];
        assert_eq!(table.map(|(path, _)| position(&body, path)), table.map(|(_, wanted)| wanted.to_vec()));
    }
}
