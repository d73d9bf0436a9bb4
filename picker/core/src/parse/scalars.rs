//! Values of fields of a body's top level, by whatever names: for who routes on what no plugin reads.

use super::bad_body::BadBody;
use super::json::{text, unescape};
use super::scan::{self, Kind, Value};
use crate::request::Text;

/// The values of the fields called `names` in `body`, in their order: a string without its quotes and escapes, a number
/// or truth value as it stands there. `None` is a field that is missing, or has no such value. Of a field that is there
/// twice the last one counts. A body of which `partial` says that it is the beginning alone may be cut off anywhere; a
/// value that is cut is missing.
///
/// # Errors
/// When the whole of a body is no JSON object. Of a beginning, what comes before the fault counts.
pub fn scalars(body: &[u8], partial: bool, names: &[&str]) -> Result<Vec<Option<String>>, BadBody> {
    let mut found: Vec<Option<Value>> = vec![None; names.len()];
    let mut learn = |name: &[u8], escapes: bool, value: Value| {
        let unescaped = if escapes { unescape(name) } else { None };
        let name = unescaped.as_ref().map_or(name, |name| name.as_bytes());
        for (_, found) in names.iter().zip(&mut found).filter(|(wanted, _)| wanted.as_bytes() == name) {
            *found = Some(value.clone());
        }
    };
    if partial {
        scan::beginning(body, |name, escapes, value, is_whole| {
            if is_whole {
                learn(name, escapes, value);
            }
        });
    } else {
        scan::object(body, learn)?;
    }
    Ok(found.into_iter().map(|value| scalar(body, &value?)).collect())
}

fn scalar(body: &[u8], value: &Value) -> Option<String> {
    match value.kind {
        Kind::String { .. } => match text(body, value)? {
            Text::Plain(range) => std::str::from_utf8(&body[range]).ok().map(str::to_owned),
            Text::Unescaped(text) => Some(text.into()),
        },
        Kind::Number | Kind::True | Kind::False => {
            std::str::from_utf8(&body[value.inner.clone()]).ok().map(str::to_owned)
        }
        Kind::Null | Kind::Array | Kind::Object => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str, partial: bool, names: &[&str]) -> Vec<Option<String>> {
        scalars(body.as_bytes(), partial, names).unwrap()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn values_come_as_they_stand_there_without_quotes_and_escapes() {
        let body = r#"{"a":"x\u0041\n","m\u006fdel":"q","n":1.50e3,"t":true,"f":false,"z":null,"o":{"a":1},"l":["a"]}"#;
        let names = ["model", "a", "n", "t", "f", "z", "o", "l", "missing", "a"];
        let expected = [
            some("q"),
            some("xA\n"),
            some("1.50e3"),
            some("true"),
            some("false"),
            None,
            None,
            None,
            None,
            some("xA\n"),
        ];
        assert_eq!(of(body, false, &names), expected);
    }

    #[test]
    fn of_a_field_that_is_there_twice_the_last_one_counts() {
        assert_eq!(of(r#"{"model":"a","model":"b"}"#, false, &["model"]), [some("b")]);
        assert_eq!(of(r#"{"model":"a","model":null}"#, false, &["model"]), [None]);
        // Half of a pair is no text.
        assert_eq!(of(r#"{"model":"a","model":"\ud800"}"#, false, &["model"]), [None]);
    }

    #[test]
    fn a_field_after_a_long_prompt_is_found_and_one_that_is_cut_is_not() {
        let body = format!(r#"{{"prompt":"{}","model":"late","n":12}}"#, "x".repeat(1 << 20));
        assert_eq!(of(&body, false, &["model"]), [some("late")]);
        let cut = |less: usize| of(&body[..body.len() - less], true, &["model", "n"]);
        assert_eq!(cut(0), [some("late"), some("12")]);
        assert_eq!(cut(1), [some("late"), None]);
        assert_eq!(cut(11), [None, None]);
    }

    #[test]
    fn what_is_no_object_is_an_error_of_the_whole_and_nothing_of_a_beginning() {
        for body in [
            &b""[..],
            b"[]",
            b"model=a",
            b"{\"model\":\"a\"",
            b"{\"model\":\"a\"} x",
            b"{\"model\":\"\xff\"}",
        ] {
            assert!(scalars(body, false, &["model"]).is_err(), "{body:?}");
        }
        assert_eq!(of("model=a", true, &["model"]), [None]);
        assert_eq!(of(r#"{"model":"a",]"#, true, &["model"]), [some("a")]);
    }
}
