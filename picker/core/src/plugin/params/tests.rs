use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Params {
    path: String,
    #[serde(default)]
    block_size: u32,
    #[serde(default)]
    tiers: Vec<Tier>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tier {
    up_to: f64,
}

fn wrong(given: Value) -> Vec<(String, ErrorKind, String)> {
    let Value::Object(given) = given else { panic!("a mapping") };
    let errors = read::<Params>(&given).unwrap_err();
    let placed = |e: BuildError| {
        let field = e.field.clone();
        let error = e.at("");
        (field, error.kind, error.message)
    };
    errors.into_iter().map(placed).collect()
}

#[test]
fn names_every_parameter_that_is_wrong() {
    let given = json!({"path": 5, "tiers": [{"up_to": 1}, {"up_to": "x"}], "blockSiez": 1, "blockSize": -1});
    let invalid = |field: &str, message: &str| (field.to_owned(), ErrorKind::Invalid, message.to_owned());
    assert_eq!(
        wrong(given),
        [
            invalid("path", "invalid type: integer `5`, expected a string"),
            invalid("tiers[1].up_to", "invalid type: string \"x\", expected f64"),
            (
                "blockSiez".to_owned(),
                ErrorKind::UnknownField,
                "unknown field `blockSiez`; the nearest is \"blockSize\"".to_owned()
            ),
            invalid("blockSize", "invalid value: integer `-1`, expected u32"),
        ]
    );
}

#[test]
fn of_very_many_wrong_parameters_not_each_is_looked_for() {
    let many: Map<String, Value> = (0..100_000).map(|i| (format!("p{i}"), Value::Null)).collect();
    let found = wrong(Value::Object(many));
    assert_eq!(found.len(), MAX_TOLD + 1);
    assert_eq!((found[0].0.as_str(), found[32].0.as_str()), ("p0", "p32"));
}

#[test]
fn names_what_is_missing() {
    let missing = |field: &str| (field.to_owned(), ErrorKind::Missing, "is required".to_owned());
    assert_eq!(wrong(json!({})), [missing("path")]);
    assert_eq!(wrong(json!({"tiers": [{}]})), [missing("tiers[0].up_to"), missing("path")]);
}

#[test]
fn reads_what_is_right() {
    let Value::Object(given) = json!({"path": "p", "tiers": [{"up_to": 2}]}) else { panic!("a mapping") };
    let wanted = Params { path: "p".to_owned(), block_size: 0, tiers: vec![Tier { up_to: 2.0 }] };
    assert_eq!(read::<Params>(&given), Ok(wanted));
}
