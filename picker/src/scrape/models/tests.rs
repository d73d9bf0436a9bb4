use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn model(id: &str, parent: Option<&str>) -> Model {
    Model { id: id.into(), parent: parent.map(Into::into) }
}

fn listed(models: impl IntoIterator<Item = Model>) -> Result<Models, Unreadable> {
    Ok(Models::new(models.into_iter().collect()))
}

/// What vLLM answers, with an adapter.
const VLLM: &str = r#"{"object": "list", "data": [
  {"id": "meta-llama/Llama-3.1-8B", "object": "model", "created": 1746639571, "owned_by": "vllm",
   "root": "/model", "parent": null, "max_model_len": 131072, "permission": [{"id": "modelperm-7", "group": null}]},
  {"id": "lora_1", "object": "model", "created": 1746639571, "owned_by": "vllm", "root": "/loras/lora_1",
   "parent": "meta-llama/Llama-3.1-8B", "max_model_len": null, "permission": []}
]}"#;

#[test]
fn adapters_are_models_that_have_a_parent() {
    let models = parse(VLLM.as_bytes());
    let base = "meta-llama/Llama-3.1-8B";
    assert_eq!(models, listed([model(base, None), model("lora_1", Some(base))]));
    let models = models.unwrap();
    assert_eq!(["lora_1", base, "lora_2", ""].map(|name| models.has(name)), [true, true, false, false]);
}

#[rstest]
#[case(r#"{"data": []}"#, listed([]))]
// Ollama without a model.
#[case(r#"{"object": "list", "data": null}"#, listed([]))]
// llama.cpp has a list of its own beside it.
#[case(r#"{"models": [{"name": "x"}], "data": [{"id": "a"}]}"#, listed([model("a", None)]))]
// An image of vLLM wrote the words of Python.
#[case(r#"{"data": [{"id": "a", "parent": "None"}]}"#, listed([model("a", None)]))]
#[case(r#"{"data": [{"id": "a", "parent": {"id": "b"}}, {"id": 7}, {"object": "model"}, {"id": ""}]}"#, listed([model("a", None)]))]
#[case(r#"{"data": [{"id": "a", "parent": "b"}, {"id": "a"}]}"#, listed([model("a", Some("b"))]))]
#[case(r#"{"data": [{"id": "\u00e9\n"}]}"#, listed([model("é\n", None)]))]
#[case("", Err(Unreadable::NoList))]
#[case("<html>not here</html>", Err(Unreadable::NoList))]
#[case(r#"{"error": "unauthorized"}"#, Err(Unreadable::NoList))]
#[case(r#"{"data": {"id": "a"}}"#, Err(Unreadable::NoList))]
#[case(r#"{"data": ["a"]}"#, Err(Unreadable::NoList))]
#[case(r#"{"data": [{"id": "a"}]"#, Err(Unreadable::NoList))]
#[case(r#"{"data": [{"id": "a"}]} {"data": []}"#, Err(Unreadable::NoList))]
#[case(r#"{"data": [], "data": [{"id": "a"}]}"#, listed([model("a", None)]))]
#[case(r#"[[{"id": "a"}]]"#, Err(Unreadable::NoList))]
#[case(r#"{"data": [["a", "b"]]}"#, Err(Unreadable::NoList))]
#[case(r#"{"data": [{"id": "\ud800"}]}"#, Err(Unreadable::NoList))]
fn lists_in_every_form(#[case] text: &str, #[case] expected: Result<Models, Unreadable>) {
    assert_eq!(parse(text.as_bytes()), expected);
}

#[test]
fn a_list_that_is_too_long_is_none_because_nobody_knows_what_is_missing() {
    let of = |count: usize, length: usize| {
        let entry = |n: usize| json!({"id": format!("{n:0length$}")});
        parse(json!({"data": (0..count).map(entry).collect::<Vec<_>>()}).to_string().as_bytes())
    };
    assert_eq!(of(MOST, MOST_BYTES / MOST).map(|models| models.iter().count()), Ok(MOST));
    assert_eq!(of(MOST, MOST_BYTES / MOST + 1), Err(Unreadable::TooMany));
    assert_eq!(of(1, LONGEST).map(|models| models.iter().count()), Ok(1));
    assert_eq!(of(MOST + 1, 8), Err(Unreadable::TooMany));
    assert_eq!(of(1, LONGEST + 1), Err(Unreadable::TooMany));
    // Whatever is nested in it takes neither stack nor memory.
    let deep = format!(r#"{{"data": [{{"id": {}1{}}}]}}"#, "[".repeat(400_000), "]".repeat(400_000));
    assert!(matches!(parse(deep.as_bytes()), Ok(_) | Err(Unreadable::NoList)));
}

#[test]
fn chunks_cuts_and_breaks_leave_nothing_behind() {
    let mut reader = ModelsReader::default();
    let all = Some(Arc::new(parse(VLLM.as_bytes()).unwrap()));
    let feed = |reader: &mut ModelsReader, text: &str| {
        text.as_bytes().chunks(7).for_each(|chunk| reader.feed(chunk));
    };
    feed(&mut reader, VLLM);
    let first = reader.finish().unwrap().models;
    assert_eq!(first, all);
    feed(&mut reader, &VLLM[..50]);
    reader.reset();
    feed(&mut reader, VLLM);
    let second = reader.finish().unwrap().models;
    assert!(second.as_ref().zip(first.as_ref()).is_some_and(|(a, b)| Arc::ptr_eq(a, b)));
    feed(&mut reader, VLLM);
    reader.cut();
    assert_eq!(reader.finish(), Ok(Signals::default()));
    assert_eq!(reader.finish(), Err(Unreadable::NoList));
    feed(&mut reader, VLLM);
    assert_eq!(reader.finish().unwrap().models, all);
}

/// What serde_json reads of it, without a thought of memory.
fn restated(text: &[u8]) -> Option<Vec<(String, Option<String>)>> {
    let value: Value = serde_json::from_slice(text).ok()?;
    let entries = match &value["data"] {
        Value::Array(entries) => entries.clone(),
        Value::Null => Vec::new(),
        _ => return None,
    };
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let mut found: Vec<_> = entries
        .iter()
        .filter_map(|entry| Some((text(&entry["id"])?, text(&entry["parent"]).filter(|p| p != "None"))))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.dedup_by(|later, first| later.0 == first.0);
    Some(found)
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => "[a-c]{1,2}".prop_map(Value::from),
        1 => Just(Value::Null),
        1 => Just(json!("None")),
        1 => any::<i64>().prop_map(Value::from),
        1 => Just(json!({"id": ["a", {}]})),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(json!(1.5)),
    ]
}

proptest! {
    #[test]
    fn every_list_is_read_as_it_is(entries in prop::collection::vec((value(), value(), value()), 0..8)) {
        let entry = |(id, parent, other): &(Value, Value, Value)| json!({"id": id, "parent": parent, "other": other});
        let text = json!({"object": "list", "data": entries.iter().map(entry).collect::<Vec<_>>()}).to_string();
        let found = parse(text.as_bytes()).unwrap();
        let found = found.iter().map(|model| (model.id.to_string(), model.parent.as_deref().map(str::to_owned)));
        prop_assert_eq!(Some(found.collect()), restated(text.as_bytes()));
    }

    #[test]
    fn no_text_breaks_it(text in "[\\[\\]{}:,\"a ]{0,12}|\\{\"data\":[\\[\\]{}:,\"adi ]{0,24}\\}") {
        if let Ok(found) = parse(text.as_bytes()) {
            let found = found.iter().map(|model| (model.id.to_string(), model.parent.as_deref().map(str::to_owned)));
            prop_assert_eq!(Some(found.collect()), restated(text.as_bytes()));
        }
    }
}
