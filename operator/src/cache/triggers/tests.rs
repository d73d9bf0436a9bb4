use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::*;

fn strategy(name: &str, namespace: &str) -> RoutingStrategy {
    serde_json::from_value(json!({
        "apiVersion": "waypost.dev/v1alpha1", "kind": "RoutingStrategy",
        "metadata": {"name": name, "namespace": namespace}, "spec": {"pools": [{"name": "qwen"}]},
    }))
    .unwrap()
}

/// Strategies chat and code, which claim the pools qwen and llama, and another beside them.
fn triggers() -> (Triggers, Requests) {
    let cache = Cache::default();
    for (name, namespace) in [("chat", "llm"), ("code", "llm"), ("other", "else")] {
        cache.strategies.insert(namespace, name, Arc::new(strategy(name, namespace)));
    }
    cache.strategies.insert("llm", "third", Arc::new(claiming("third", "llama")));
    for name in ["qwen", "llama"] {
        let pool = pool(name);
        cache.pools[&pool.group].insert("llm", name, Arc::new(pool));
    }
    Triggers::new(cache)
}

fn claiming(name: &str, pool: &str) -> RoutingStrategy {
    let mut strategy = strategy(name, "llm");
    strategy.spec.pools[0].name = Some(pool.to_owned());
    strategy
}

fn pool(name: &str) -> Pool {
    let mut pool = Pool::default();
    pool.metadata.namespace = Some("llm".to_owned());
    pool.metadata.name = Some(name.to_owned());
    pool.selector.insert("app".to_owned(), name.to_owned());
    pool
}

fn asked(requests: &mut Requests) -> Vec<String> {
    let mut names: Vec<_> = all_asked(requests).into_iter().map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    names
}

fn all_asked(requests: &mut Requests) -> Vec<(String, Lane)> {
    std::iter::from_fn(|| requests.try_recv().ok())
        .map(|request| (request.strategy.name, request.lane))
        .collect()
}

#[test]
fn a_claim_concerns_those_who_claim_the_same() {
    let (triggers, mut requests) = triggers();
    let old = strategy("chat", "llm");
    let mut new = old.clone();
    new.metadata.generation = Some(2);
    triggers.strategy(Some(&old), Some(&new));
    assert_eq!(asked(&mut requests), ["chat"]);
    new.spec.pools.clear();
    triggers.strategy(Some(&old), Some(&new));
    assert_eq!(asked(&mut requests), ["chat", "code"]);
    triggers.strategy(None, Some(&claiming("fourth", "llama")));
    assert_eq!(asked(&mut requests), ["fourth", "third"]);
    triggers.strategy(Some(&claiming("fourth", "none")), None);
    assert_eq!(asked(&mut requests), Vec::<String>::new());
}

#[test]
fn an_edit_and_the_word_of_a_picker_are_urgent() {
    let (triggers, mut requests) = triggers();
    let old = strategy("chat", "llm");
    let lane = |change: fn(&mut RoutingStrategy), requests: &mut Requests| {
        let mut new = old.clone();
        change(&mut new);
        triggers.strategy(Some(&old), Some(&new));
        all_asked(requests)
    };
    let one = |lane| vec![("chat".to_owned(), lane)];
    assert_eq!(lane(|new| new.metadata.generation = Some(9), &mut requests), one(Lane::Urgent));
    let goes = |new: &mut RoutingStrategy| {
        new.metadata.generation = Some(9);
        new.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    };
    assert!(lane(goes, &mut requests).iter().all(|(_, lane)| *lane == Lane::Usual));
    let says = |new: &mut RoutingStrategy| {
        let pickers = &mut new.status.get_or_insert_default().pickers;
        pickers.insert("pod".to_owned(), Default::default());
    };
    assert_eq!(lane(says, &mut requests), one(Lane::Urgent));
    let own = |new: &mut RoutingStrategy| new.status.get_or_insert_default().observed_generation = 9;
    // Our own word is none.
    let mut told = old.clone();
    told.metadata.generation = Some(9);
    let mut again = told.clone();
    own(&mut again);
    triggers.strategy(Some(&told), Some(&again));
    assert_eq!(all_asked(&mut requests), one(Lane::Usual));
    triggers.strategy(None, Some(&old));
    assert!(all_asked(&mut requests).iter().all(|(_, lane)| *lane == Lane::Usual));
}

#[test]
fn a_status_of_a_pool_concerns_nobody() {
    let (triggers, mut requests) = triggers();
    let old = pool("qwen");
    let mut new = old.clone();
    new.metadata.resource_version = Some("2".to_owned());
    triggers.pool(Some(&old), Some(&new));
    assert_eq!(asked(&mut requests), Vec::<String>::new());
    new.selector.insert("app".to_owned(), "vllm".to_owned());
    triggers.pool(Some(&old), Some(&new));
    assert_eq!(asked(&mut requests), ["chat", "code"]);
}

/// Whoever has a pool gives it back, also when it claims it no more.
#[test]
fn a_pool_concerns_who_has_it_and_who_has_pickers_for_it() {
    let (triggers, mut requests) = triggers();
    let mut held = pool("qwen");
    let record = r#"{"strategy": "former", "applied": null}"#.to_owned();
    held.metadata.annotations = Some([(names::PREVIOUS_PICKER.to_owned(), record)].into());
    triggers.pool(Some(&pool("qwen")), Some(&held));
    assert_eq!(asked(&mut requests), ["chat", "code", "former"]);
    let service = object("qwen-picker", json!({names::STRATEGY: "maker"}));
    triggers.cache.owned[&Kind::Service].insert("llm", "qwen-picker", Arc::new(service));
    triggers.pool(Some(&held), None);
    assert_eq!(asked(&mut requests), ["chat", "code", "former", "maker"]);
}

fn object(name: &str, labels: Value) -> HeldObject {
    held(json!({"name": name, "namespace": "llm", "labels": labels}))
}

fn held(metadata: Value) -> HeldObject {
    HeldObject::from(&serde_json::from_value(json!({"metadata": metadata})).unwrap())
}

#[test]
fn an_object_concerns_its_strategy_and_when_gone_those_in_whose_way_it_was() {
    let (triggers, mut requests) = triggers();
    let picker = object("qwen-picker", json!({names::STRATEGY: "maker"}));
    triggers.owned(None, Some(&picker));
    assert_eq!(asked(&mut requests), ["maker"]);
    triggers.owned(Some(&picker), None);
    assert_eq!(asked(&mut requests), ["chat", "code", "maker"]);
    triggers.owned(Some(&object("chat-routing-3", json!({names::STRATEGY: "maker"}))), None);
    assert_eq!(asked(&mut requests), ["chat", "maker"]);
    // Whose object it is may change too.
    triggers.owned(Some(&picker), Some(&object("qwen-picker", json!({names::STRATEGY: "code"}))));
    assert_eq!(asked(&mut requests), ["code", "maker"]);
}

#[test]
fn an_object_of_the_cluster_says_whose_it_is() {
    let (triggers, mut requests) = triggers();
    let labels = json!({names::STRATEGY: "code", names::NAMESPACE: "llm"});
    let object = held(json!({"name": "waypost:llm:code", "labels": labels}));
    for (old, new) in [(None, Some(&object)), (Some(&object), None)] {
        triggers.owned(old, new);
        let strategy = StrategyKey { namespace: "llm".to_owned(), name: "code".to_owned() };
        assert_eq!(requests.try_recv().unwrap(), Request { strategy, lane: Lane::Usual });
    }
}

#[test]
fn a_pod_concerns_those_whose_pools_select_it() {
    let (triggers, mut requests) = triggers();
    let mut pod = PodFacts {
        name: "vllm-0".to_owned(),
        namespace: "llm".to_owned(),
        labels: [("app".to_owned(), "vllm".to_owned())].into(),
        ready: true,
        ..PodFacts::default()
    };
    triggers.pod(None, Some(&pod));
    assert_eq!(asked(&mut requests), Vec::<String>::new());
    pod.labels.insert("app".to_owned(), "llama".to_owned());
    triggers.pod(None, Some(&pod));
    assert_eq!(asked(&mut requests), ["third"]);
}

#[test]
fn addresses_concern_the_strategy_of_their_service_when_they_come_and_go() {
    let (triggers, mut requests) = triggers();
    let slice = |ready| SliceFacts {
        namespace: "llm".to_owned(),
        strategy: Some("code".to_owned()),
        ready,
        ..SliceFacts::default()
    };
    triggers.slice(None, Some(&slice(false)));
    assert_eq!(asked(&mut requests), ["code"]);
    triggers.slice(Some(&slice(false)), Some(&slice(false)));
    assert_eq!(asked(&mut requests), Vec::<String>::new());
    triggers.slice(Some(&slice(false)), Some(&slice(true)));
    assert_eq!(asked(&mut requests), ["code"]);
}
