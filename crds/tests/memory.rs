//! What stays in memory of strategies that somebody made as large as the API server stores them.
#![allow(clippy::unwrap_used)]

use crds::RoutingStrategy;
use kube::api::ObjectList;
use kube_ext::partial_object::PartialObject;
use rstest::rstest;

/// A little less than what etcd stores of an object.
const LARGE: usize = 1_400_000;
const STRATEGIES: usize = 12;
/// What all of them together may take: without bounds each of them takes some 30 MiB.
const MOST: u64 = 4 << 20;

/// `part`, repeated, with commas between, up to [`LARGE`] bytes.
fn many(part: impl Fn(usize) -> String) -> String {
    let mut text = String::with_capacity(LARGE + 100);
    for n in 0.. {
        if text.len() >= LARGE {
            break;
        }
        if n > 0 {
            text.push(',');
        }
        text.push_str(&part(n));
    }
    text
}

fn list(metadata: &str, routing: &str, template: &str) -> String {
    let strategies = (0..STRATEGIES).map(|n| {
        format!(
            r#"{{"metadata":{{"name":"chat-{n}","namespace":"llm","uid":"{n}"{metadata}}},
            "spec":{{"pools":[{{"name":"qwen"}}],"routing":{routing},"picker":{{"podTemplate":{template}}}}}}}"#
        )
    });
    let strategies = strategies.collect::<Vec<_>>().join(",");
    format!(r#"{{"metadata":{{"resourceVersion":"1"}},"items":[{strategies}]}}"#)
}

#[rstest]
#[case::pod_template(list("", "{}", &format!(r#"{{"metadata":{{{}}}}}"#, many(|n| format!(r#""{n}":{{}}"#)))))]
#[case::labels_of_pods(list("", "{}", &format!(r#"{{"metadata":{{"labels":{{{}}}}}}}"#, many(|n| format!(r#""{n}":"""#)))))]
#[case::parameters(list("", &format!(r#"{{"plugins":[{{"type":"a","parameters":{{"x":[{}]}}}}]}}"#, many(|_| "[]".to_owned())), "{}"))]
#[case::labels(list(&format!(r#","labels":{{{}}}"#, many(|n| format!(r#""{n}":"""#))), "{}", "{}"))]
#[case::annotations(list(&format!(r#","annotations":{{{}}}"#, many(|n| format!(r#""{n}":"""#))), "{}", "{}"))]
#[case::managed_fields(list(&format!(r#","managedFields":[{}]"#, many(|_| "{}".to_owned())), "{}", "{}"))]
#[case::finalizers(list(&format!(r#","finalizers":[{}]"#, many(|n| format!(r#""a/{n}""#))), "{}", "{}"))]
fn twelve_large_strategies_take_little(#[case] text: String) {
    let mut held = None;
    let counted = allocation_counter::measure(|| {
        let read: ObjectList<PartialObject<RoutingStrategy>> = serde_json::from_str(&text).unwrap();
        held = Some(read);
    });
    assert_eq!(held.as_ref().unwrap().items.len(), STRATEGIES);
    let bytes = u64::try_from(counted.bytes_current).unwrap();
    assert!(bytes < MOST, "{bytes} bytes are held");
}
