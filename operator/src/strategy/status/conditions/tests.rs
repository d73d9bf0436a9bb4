use super::*;

fn good() -> Verdicts {
    let yes = |reason| Verdict::good(reason, "fine");
    Verdicts {
        accepted: yes("Accepted"),
        pools: None,
        pools_bound: yes("Bound"),
        has_endpoints: yes("Endpoints"),
        available: yes("Available"),
        programmed: yes("Programmed"),
        contested: None,
        paused: None,
        overlapping: None,
        unfinished: None,
        summary: "all is well".to_owned(),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn brief(conditions: &[Condition]) -> Vec<(&str, &str, &str)> {
    conditions.iter().map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str())).collect()
}

#[test]
fn all_good_is_ready_and_nothing_else() {
    assert_eq!(
        brief(&good().conditions(&[], 1, at(0))),
        [
            ("Ready", "True", "Ready"),
            ("Accepted", "True", "Accepted"),
            ("PoolsBound", "True", "Bound"),
            ("HasEndpoints", "True", "Endpoints"),
            ("Available", "True", "Available"),
            ("Programmed", "True", "Programmed"),
        ]
    );
}

#[test]
fn what_needs_a_hand_stalls_and_what_does_not_reconciles() {
    let mut verdicts = good();
    verdicts.available = Verdict::bad("Progressing", "1 of 2");
    let conditions = verdicts.conditions(&[], 1, at(0));
    assert_eq!(
        brief(&conditions)[..2],
        [("Ready", "False", "Progressing"), ("Reconciling", "True", "Progressing")]
    );
    verdicts.accepted = Verdict::bad("InvalidRouting", "plugins[0]");
    verdicts.contested = Some(Verdict::good("FieldManagedElsewhere", "helm"));
    let conditions = verdicts.conditions(&[], 1, at(0));
    assert_eq!(
        brief(&conditions)[..3],
        [
            ("Ready", "False", "InvalidRouting"),
            ("Stalled", "True", "InvalidRouting"),
            ("Accepted", "False", "InvalidRouting"),
        ]
    );
    assert_eq!(conditions.last().map(|c| c.type_.as_str()), Some("Contested"));
}

#[test]
fn missing_endpoints_are_said_and_are_no_part_of_ready() {
    let mut verdicts = good();
    verdicts.has_endpoints = Verdict::bad("NoPods", "none");
    let conditions = verdicts.conditions(&[], 1, at(0));
    assert_eq!(brief(&conditions)[0], ("Ready", "True", "Ready"));
    assert!(!conditions.iter().any(|c| c.type_ == "Stalled" || c.type_ == "Reconciling"));
}

#[test]
fn what_is_being_released_is_not_ready() {
    let mut verdicts = good();
    verdicts.available = Verdict::bad("NameTaken", "x");
    let old = verdicts.conditions(&[], 1, at(10));
    let new = not_ready(&Verdict::bad("Releasing", "pool a: no"), &old, 2, at(20));
    assert_eq!(brief(&new)[..2], [("Ready", "False", "Releasing"), ("Accepted", "True", "Accepted")]);
    assert_eq!(new[0].last_transition_time.0, at(10));
    assert_eq!(not_ready(&Verdict::bad("Releasing", "pool a: no"), &new, 2, at(30)), new);
    verdicts = Verdicts { unfinished: Some(Verdict::bad("Releasing", "pool a: no")), ..good() };
    assert_eq!(brief(&verdicts.conditions(&[], 1, at(0)))[0], ("Ready", "False", "Releasing"));
}

#[test]
fn time_moves_when_the_status_turns() {
    let old = good().conditions(&[], 1, at(10));
    let mut verdicts = good();
    verdicts.programmed = Verdict::bad("Pending", "1 of 2");
    let new = verdicts.conditions(&old, 2, at(20));
    let times: Vec<_> =
        new.iter().map(|c| (c.type_.as_str(), c.last_transition_time.0.as_second())).collect();
    assert_eq!(times[0], ("Ready", 20));
    assert_eq!(times[2], ("Accepted", 10));
    assert!(times.contains(&("Programmed", 20)));
}

#[test]
fn messages_are_short() {
    let finding = |place: &str, wrong: &str| (place.to_owned(), wrong.to_owned());
    assert_eq!(join("so: ", &[finding("a", "x"), finding("b", "y")]), "so: a: x; b: y");
    let long = "unknown plugin type; known: ".to_owned() + &"something-scorer, ".repeat(40);
    let message = join("", &[finding("plugins[0].type", &long), finding("plugins[1].name", &long)]);
    assert!(message.starts_with("plugins[0].type: unknown plugin type; known: something"), "{message}");
    assert!(message.ends_with("…; plugins[1].name"), "{message}");
    assert!(message.chars().count() <= MAX_MESSAGE, "{message}");
    let many: Vec<_> = (0..40).map(|i| finding(&format!("plugins[{i}].type"), &long)).collect();
    let message = join("", &many);
    assert!(message.ends_with(" more") && message.chars().count() <= MAX_MESSAGE, "{message}");
    assert_eq!(Verdict::bad("X", "é".repeat(600)).message.chars().count(), MAX_MESSAGE);
}
