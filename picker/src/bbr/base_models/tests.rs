use std::time::Duration;

use serde_json::json;

use super::*;
use crate::fake_api::{self, Answer};

fn map(name: &str, data: serde_json::Value) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": data})).unwrap()
}

fn qwen() -> ConfigMap {
    map("qwen", json!({"baseModel": " qwen\n", "adapters": "- travel-v1\n- ' travel-v2'\n- \"\"\n"}))
}

fn adapters(base: &str, names: &[&str]) -> Adapters {
    Adapters { base: base.to_owned(), names: names.iter().map(|&name| name.to_owned()).collect() }
}

#[test]
fn a_map_says_a_base_and_a_list_of_adapters() {
    let read = |data: serde_json::Value| read(&map("a", data));
    assert_eq!(super::read(&qwen()), Some(adapters("qwen", &["travel-v1", "travel-v2"])));
    assert_eq!(read(json!({"baseModel": "b"})), Some(adapters("b", &[])));
    assert_eq!(read(json!({"baseModel": "b", "adapters": ""})), Some(adapters("b", &[])));
    assert_eq!(read(json!({"baseModel": "b", "adapters": "[x, y]"})), Some(adapters("b", &["x", "y"])));
    for bad in [
        json!({}),
        json!({"adapters": "[x]"}),
        json!({"baseModel": "  "}),
        json!({"baseModel": "b", "adapters": "x: y"}),
        json!({"baseModel": "b", "adapters": "[[x]]"}),
        json!({"baseModel": "b", "adapters": "["}),
    ] {
        assert_eq!(read(bad.clone()), None, "{bad}");
    }
    assert_eq!(super::read(&ConfigMap::default()), None);
}

#[test]
fn maps_come_change_and_go() {
    use Event::{Apply, Delete, Init, InitApply, InitDone};
    let mut known = Known::default();
    assert_eq!([Init, InitApply(qwen()), InitDone].map(|event| known.learn(event)), [false, false, true]);
    let of = |known: &Known, model: &str| {
        BaseModels::joined(&[], known.by_name.iter()).of(model).map(str::to_owned)
    };
    assert_eq!(of(&known, "travel-v1"), Some("qwen".to_owned()));
    assert_eq!(of(&known, "qwen"), Some("qwen".to_owned()));
    assert_eq!(of(&known, "other"), None);
    // An adapter that is not in the list any more has no base.
    let less = map("qwen", json!({"baseModel": "qwen", "adapters": "[travel-v2]"}));
    assert_eq!([Apply(less.clone()), Apply(less)].map(|event| known.learn(event)), [true, false]);
    assert_eq!(of(&known, "travel-v1"), None);
    // One that can't be read any more says nothing.
    assert!(known.learn(Apply(map("qwen", json!({})))));
    assert_eq!(of(&known, "qwen"), None);
    assert!(known.learn(Apply(qwen())) && known.learn(Delete(qwen())));
    assert_eq!(of(&known, "qwen"), None);
    // Listed anew: what is not shown is gone when the list is complete.
    assert!(known.learn(Apply(qwen())));
    assert_eq!([Init, InitDone].map(|event| known.learn(event)), [false, true]);
    assert_eq!(of(&known, "qwen"), None);
}

#[test]
fn who_names_an_adapter_first_is_believed_and_flags_before_maps() {
    let fixed = [("x".to_owned(), "flagged".to_owned())];
    let maps = [("a".to_owned(), adapters("A", &["x", "y"])), ("b".to_owned(), adapters("B", &["y", "z"]))];
    let joined = BaseModels::joined(&fixed, maps.iter().map(|(name, adapters)| (name, adapters)));
    let of = ["x", "flagged", "y", "z", "A", "B"].map(|model| joined.of(model));
    assert_eq!(of, ["flagged", "flagged", "A", "B", "A", "B"].map(Some));
}

#[tokio::test]
async fn the_maps_with_the_label_are_watched_in_one_namespace() {
    let (client, log) = fake_api::client(|asked| {
        if asked.what.contains("watch=true") {
            return Answer::Silence;
        }
        let item = json!({
            "metadata": {"name": "qwen", "namespace": "llm"},
            "data": {"baseModel": "qwen", "adapters": "[travel]"},
        });
        let metadata = json!({"resourceVersion": "7"});
        let list =
            json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": metadata, "items": [item]});
        Answer::Object(list)
    });
    let (metrics, _) = Metrics::by_body();
    let base_models = SharedBaseModels::default();
    let (listed, mut is_listed) = watch::channel(false);
    let fixed = [("other".to_owned(), "llama".to_owned())];
    let run = run(client, "llm", &fixed, &metrics, base_models.clone(), listed);
    tokio::select! {
        () = run => unreachable!(),
        there = is_listed.wait_for(|listed| *listed) => assert!(there.is_ok()),
        () = tokio::time::sleep(Duration::from_secs(10)) => panic!("no list"),
    }
    let known = base_models.load();
    assert_eq!(["travel", "qwen", "other"].map(|model| known.of(model)), ["qwen", "qwen", "llama"].map(Some));
    let asked = log.lock().unwrap()[0].what.clone();
    assert!(asked.starts_with("GET /api/v1/namespaces/llm/configmaps?"), "{asked}");
    assert!(asked.contains("labelSelector=inference.networking.k8s.io%2Fbbr-managed%3Dtrue"), "{asked}");
}
