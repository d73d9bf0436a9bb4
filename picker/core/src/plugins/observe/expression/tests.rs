use std::ops::Add;

use proptest::prelude::*;
use rstest::rstest;

use super::*;

/// The value of `text` as text, or the error.
fn value(text: &str) -> String {
    let usage = Usage { prompt: 100, cached: 64, completion: 20, reasoning: 12 };
    let evaluated = Expression::parse(text).map(|expression| expression.evaluate(&usage.into()));
    match evaluated {
        Ok(Ok(value)) => format!("{value:?}"),
        Ok(Err(error)) => format!("no value: {error}"),
        Err(error) => error,
    }
}

#[rstest]
#[case("usage.prompt_tokens", "Float(100.0)")]
#[case("usage.completion_tokens", "Float(20.0)")]
#[case("usage.total_tokens", "Float(120.0)")]
#[case("usage.prompt_token_details.cached_tokens", "Float(64.0)")]
#[case("usage.prompt_tokens_details.cached_tokens", "Float(64.0)")]
#[case("usage.completion_token_details.reasoning_tokens", "Float(12.0)")]
#[case("usage.completion_tokens_details.reasoning_tokens", "Float(12.0)")]
#[case("usage[\"prompt_tokens\"] - usage.prompt_tokens_details.cached_tokens", "Float(36.0)")]
#[case("0.25 * usage.prompt_tokens + 2.0 * usage.completion_tokens", "Float(65.0)")]
#[case("int(usage.prompt_tokens) % 7", "Int(2)")]
#[case("has(usage.prompt_tokens) && has(usage.completion_tokens)", "Bool(true)")]
#[case("has(usage.reasoning_tokens) ? usage.reasoning_tokens : 0", "Int(0)")]
#[case("usage.prompt_tokens > 99 && usage.completion_tokens == 20", "Bool(true)")]
#[case("usage.completion_tokens in [10.0, 20.0]", "Bool(true)")]
#[case("usage.prompt_tokens * 2", "no value: Unsupported binary operator 'mul': Float(100.0), Int(2)")]
#[case("usage.reasoning_tokens", "no value: No such key: reasoning_tokens")]
#[case("cost(usage)", "no value: Undeclared reference to 'cost'")]
#[case("use.prompt_tokens", "knows usage alone, and not use")]
#[case("", "is no CEL: line 1, column 1: Syntax error: mismatched input '<EOF>' expecting expression")]
#[case("1 +\n * 2", "is no CEL: line 2, column 2: unexpected token")]
#[case("[1, 2].map(x, x)", "must not have a loop (all, exists, exists_one, filter, map)")]
#[case("usage.exists(name, true)", "must not have a loop (all, exists, exists_one, filter, map)")]
#[case("{'a': 1}", "must not make a map or an object")]
#[case("google.Any{}", "must not make a map or an object")]
fn expressions_over_usage(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(value(text), expected);
}

#[test]
fn what_the_parser_left_out_is_refused() {
    let missing = |id| IdedExpr { id, expr: Expr::Unspecified };
    let refused = Err("is no CEL: a part of it is missing".to_owned());
    assert_eq!(check(&missing(1), &["usage"]), refused);
    let Expression(mut tree) = Expression::parse("[1, 2]").unwrap();
    let Expr::List(list) = &mut tree.expr else { panic!("{tree:?}") };
    list.elements[1] = missing(9);
    assert_eq!(check(&tree, &["usage"]), refused);
}

/// Forms that nest or chain `n` times.
fn deep(n: usize) -> Vec<String> {
    let around = |open: &str, within: &str, close: &str| open.repeat(n) + within + &close.repeat(n);
    vec![
        around("(", "1", ")"),
        around("[", "", "]"),
        around("!-", "1", ""),
        around("1 + ", "1", ""),
        around("true ? 1 : ", "1", ""),
        around("true ? ", "1", " : 1"),
        around("size(", "''", ")"),
        around("'a'.size(", "", ")"),
        around("usage[", "'a'", "]"),
        around("", "usage", ".a"),
        around("1 == ", "1", ""),
        around("true && ", "true", ""),
        around("{1: ", "1", "}"),
        around("(", "", ""),
        around("[", "", ""),
        around("{1: ", "", ""),
        around("has(", "usage.a", ")"),
    ]
}

#[test]
fn depth_and_length_are_bounded_on_any_stack() {
    // Half of what a thread has by default.
    let small = std::thread::Builder::new().stack_size(1 << 20).spawn(|| {
        for text in (0..=MAX_BYTES).step_by(3).flat_map(deep) {
            value(&text);
        }
        assert_eq!(value(&"1 + ".repeat(MAX_DEPTH - 1).add("1")), format!("Int({MAX_DEPTH})"));
        assert_eq!(value(&"1 + ".repeat(MAX_DEPTH).add("1")), "is nested more than 16 deep");
        assert_eq!(value(&" ".repeat(MAX_BYTES + 1)), "is longer than 1024 bytes");
    });
    small.unwrap().join().unwrap();
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_or_refused(
        words in prop::collection::vec(
            prop_oneof![
                8 => prop::sample::select(vec![
                    "usage", ".prompt_tokens", "1", "2.5", "3u", "'a'", "b'a'", "true", "null", "+", "-", "*", "/", "%",
                    "==", "<", "in", "&&", "||", "!", "?", ":", "(", ")", "[", "]", "{", "}", ",", ".", "has", "size",
                    "int", "double", "all", "map", "9223372036854775807", "1e308", "r\"", "\\", "\n", "//", "`", "@",
                ]).prop_map(str::to_owned),
                1 => any::<String>(),
            ],
            0..40,
        ),
    ) {
        value(&words.concat());
        value(&words.join(" "));
    }
}
