//! Errors in the order of the text.

use serde_json::Value;

use super::ConfigError;

/// Sorts `errors` by where in `body` their fields are. A field that isn't there comes after its
/// siblings.
pub(crate) fn sort(errors: &mut [ConfigError], body: &Value) {
    errors.sort_by_cached_key(|error| position(body, &error.path));
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
