//! What a status says of each pool, and of the requests that go to it.

use super::*;

/// State, traffic, ready pickers, reason and message of each pool.
fn of_pools(status: &RoutingStrategyStatus) -> Vec<[String; 5]> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let of_pool = |pool: &PoolStatus| {
        let state = pool.state.map_or("", crds::PoolState::as_str).to_owned();
        let traffic = pool.traffic.map_or("", PoolTraffic::as_str).to_owned();
        [state, traffic, text(&pool.pickers), text(&pool.reason), text(&pool.message)]
    };
    status.pools.iter().map(of_pool).collect()
}

#[test]
fn every_pool_has_its_own_state_and_cause() {
    let (mut snapshot, mut outcome) = three_pools();
    let mut phi = (*deployment(2, 0).1).clone();
    phi.metadata.name = Some("phi-picker".to_owned());
    phi.data["status"]["conditions"] =
        json!([{"type": "ReplicaFailure", "status": "True", "message": "odd"}]);
    snapshot.owned.push((Kind::Deployment, Arc::new(phi)));
    let mut names = TakenNames::one("Service", "yi-picker", false);
    names.extend(TakenNames::one("Role", "yi-picker", false));
    outcome.taken.insert("yi-picker".to_owned(), names);
    let taken = "Service and Role yi-picker are not this strategy's; rename or delete them";
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    let status = compute(&snapshot, &valid, &outcome, at(0));
    let refused = "the pods are refused: odd; see kubectl describe of its ReplicaSet";
    let own = |pool: [&str; 5]| pool.map(str::to_owned);
    assert_eq!(
        of_pools(&status),
        [
            own(["Waiting", "OtherPicker", "0/2", "FailedCreate", refused]),
            own(["Ready", "Pickers", "2/2", "", ""]),
            own(["Waiting", "OtherPicker", "", "NameTaken", taken]),
        ]
    );
    let summary = format!("2 of 3 pools: yi: {taken}; phi: {refused}");
    assert_eq!(said(&status, "Ready"), is("False", "NameTaken", &summary));
    assert_eq!(said(&status, "Available"), is("False", "NameTaken", &summary));
    assert_eq!(said(&status, "Stalled"), is("True", "NameTaken", &summary));
    assert_eq!(said(&status, "PoolsBound").1, "Pending");
    let figures = status.summary.unwrap();
    assert_eq!((figures.pools.as_str(), figures.traffic.as_deref()), ("1/3", Some("Pickers 1/3")));
}

#[test]
fn a_pool_without_a_ready_picker_says_what_gateways_do() {
    let (mut snapshot, outcome) = well();
    snapshot.pools = vec![Arc::new(pool("qwen", "qwen-picker"))];
    snapshot.owned = vec![deployment(2, 0)];
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    let status = compute(&snapshot, &valid, &outcome, at(0));
    let message =
        "no picker is ready, so requests are refused (FailClose): Deployment qwen-picker is rolling out";
    let degraded = ["Degraded", "FailClose", "0/2", "Progressing", message].map(str::to_owned);
    assert_eq!(
        (of_pools(&status), status.summary.unwrap().traffic),
        (vec![degraded], Some("FailClose".to_owned()))
    );
}

/// Nobody asks the pickers of a pool that names another one, whatever revision they serve.
#[test]
fn a_contested_pool_is_not_programmed() {
    let (mut snapshot, mut outcome) = well();
    let message = "helm sets endpointPickerRef of pool qwen back; do this";
    let qwen = (Default::default(), "qwen".to_owned());
    outcome.bindings.insert(qwen.clone(), BindingState::Contested(message.to_owned()));
    snapshot.pools = vec![Arc::new(pool("qwen", "old-epp"))];
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    let status = compute(&snapshot, &valid, &outcome, at(0));
    let revision = status.revision.clone().unwrap();
    let served =
        format!("every ready picker serves revision {revision}; the requests of pool qwen go elsewhere");
    assert_eq!(said(&status, "Programmed"), is("False", "NotUsed", &served));
    assert_eq!(said(&status, "Contested"), is("True", "FieldManagedElsewhere", message));
    let contested = ["Contested", "OtherPicker", "2/2", "FieldManagedElsewhere", message].map(str::to_owned);
    assert_eq!(
        (of_pools(&status), status.summary.unwrap().traffic),
        (vec![contested], Some("OtherPicker".to_owned()))
    );
    // With another pool that has its pickers the revision is in use.
    let (mut snapshot, mut outcome) = three_pools();
    outcome.bindings.insert(qwen, BindingState::Contested(message.to_owned()));
    snapshot.pools[0] = Arc::new(pool("qwen", "old-epp"));
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    assert_eq!(
        said(&compute(&snapshot, &valid, &outcome, at(0)), "Programmed"),
        is("True", "Programmed", &served)
    );
}
