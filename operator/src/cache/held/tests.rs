use super::*;

/// A strategy whose routing has `bytes` bytes of text.
fn strategy(namespace: &str, name: &str, bytes: usize) -> RoutingStrategy {
    let mut strategy = RoutingStrategy::default();
    strategy.metadata.namespace = Some(namespace.to_owned());
    strategy.metadata.name = Some(name.to_owned());
    strategy.spec.routing.0 = json!({"plugins": [{"type": "x".repeat(bytes)}]});
    strategy
}

/// Whether the routing of the strategy in an event is there still.
fn admitted(share: &mut Share, event: Event<RoutingStrategy>) -> bool {
    match share.strategy(event) {
        Event::Apply(strategy) | Event::InitApply(strategy) => strategy.spec.routing.0.is_object(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_strategies_of_a_namespace_have_so_much_room_together() {
    let (mut share, mebibyte) = (Room::of_strategies().share(), 1 << 20);
    let apply = |name: &str, bytes| Event::Apply(strategy("llm", name, bytes));
    for n in 0..7 {
        assert!(admitted(&mut share, apply(&n.to_string(), mebibyte)), "{n}");
    }
    assert!(!admitted(&mut share, apply("7", mebibyte)));
    assert!(admitted(&mut share, Event::Apply(strategy("other", "7", mebibyte))));
    // An edit counts once, and what became smaller leaves room.
    assert!(admitted(&mut share, apply("0", mebibyte)));
    assert!(admitted(&mut share, apply("0", 10)));
    assert!(admitted(&mut share, apply("7", mebibyte)));
    assert!(!admitted(&mut share, apply("8", mebibyte)));
    // So does what is gone, and a new list counts anew.
    share.strategy(Event::Delete(strategy("llm", "7", mebibyte)));
    assert!(admitted(&mut share, apply("8", mebibyte)));
    share.strategy(Event::Init);
    assert!(admitted(&mut share, Event::InitApply(strategy("llm", "9", 7 * mebibyte))));
}

#[test]
fn what_there_is_no_room_for_says_so() {
    let mut share = Room::of_strategies().share();
    let Event::Apply(refused) = share.strategy(Event::Apply(strategy("llm", "chat", 9 << 20))) else {
        panic!()
    };
    let why = refused.spec.routing.0.as_str().unwrap();
    assert!(why.starts_with("too large beside the other strategies of the namespace: 94"), "{why}");
    assert_eq!(crds::strategy::unreadable(&refused.spec.picker.pod_template), Some(why));
}

/// An object of the strategy `chat`, with a label of somebody else.
fn object(name: &str, data: Value) -> DynamicObject {
    let labels = json!({crate::names::STRATEGY: "chat", "team": "a"});
    let mut object = json!({"metadata": {"name": name, "namespace": "llm", "labels": labels}});
    object.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
    serde_json::from_value(object).unwrap()
}

/// What is held of an object: its strategy, its labels and its data.
fn held(share: &mut Share, kind: Kind, object: DynamicObject) -> (Option<String>, usize, Value) {
    let Event::Apply(held) = share.object(kind, Event::Apply(object)) else { panic!() };
    let object = held.object();
    (held.strategy.clone(), object.metadata.labels.unwrap_or_default().len(), object.data)
}

#[test]
fn of_the_history_revisions_are_held_and_of_large_objects_their_names() {
    let mut share = Room::of_objects().share();
    let mut held = |kind, data| held(&mut share, kind, object("a", data));
    let strategy = Some("chat".to_owned());
    let routing = json!({"plugins": []});
    assert_eq!(
        held(Kind::ControllerRevision, json!({"revision": 3, "data": routing})),
        (strategy.clone(), 2, json!({"revision": 3, "data": revision(&routing)}))
    );
    let small = json!({"spec": {"replicas": 2}});
    assert_eq!(held(Kind::Deployment, small.clone()), (strategy.clone(), 2, small));
    let large = json!({"spec": {"x": "y".repeat(1 << 20)}});
    assert_eq!(held(Kind::Deployment, large), (strategy, 1, json!({})));
}

#[test]
fn the_objects_of_a_namespace_have_so_much_room_together_whatever_their_kind() {
    let room = Room::of_objects();
    let mut shares = [Kind::Deployment, Kind::ServiceAccount].map(|kind| (kind, room.share()));
    let large = |name: &str| object(name, json!({"x": "y".repeat(1_000_000)}));
    let mut fits = |at: usize, name: &str| {
        let (kind, share) = &mut shares[at];
        held(share, *kind, large(name)).2 != json!({})
    };
    let names: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    let there = names.iter().enumerate().filter(|(n, name)| fits(n % 2, name)).count();
    assert_eq!(there, 33);
    // One that was there is replaced, and what is gone leaves room.
    assert!(fits(0, "0") && !fits(0, "new"));
    shares[1].1.object(Kind::ServiceAccount, Event::Delete(large("1")));
    let [(kind, deployments), (_, accounts)] = &mut shares;
    assert_ne!(held(deployments, *kind, large("new")).2, json!({}));
    assert_eq!(held(deployments, *kind, large("newer")).2, json!({}));
    // With the watch of a kind its objects are gone.
    drop(std::mem::replace(accounts, room.share()));
    assert_ne!(held(deployments, *kind, large("newer")).2, json!({}));
    let [(_, mut deployments), _] = shares;
    deployments.object(Kind::Deployment, Event::Init);
    assert_eq!(*room.lock(), HashMap::new());
}
