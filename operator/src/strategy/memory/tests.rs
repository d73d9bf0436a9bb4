use super::*;

/// What `memory` knows of the strategy, pool or object `uid`.
fn of(memory: &Memory, uid: &str) -> Remembered {
    memory.remembered(uid, [uid].into_iter(), [uid].into_iter())
}

#[test]
fn a_hold_runs_from_its_first_mention() {
    let (memory, start, hold) = (Memory::default(), Instant::now(), Duration::from_secs(30));
    assert_eq!(memory.hold("a", hold, start), Some(hold));
    assert_eq!(memory.hold("a", hold, start + Duration::from_secs(10)), Some(Duration::from_secs(20)));
    assert_eq!(memory.hold("a", hold, start + hold), None);
    memory.end_hold("a");
    assert_eq!(memory.hold("a", hold, start + hold), Some(hold));
}

#[test]
fn the_time_of_a_handover_ends_when_nothing_passes_on_any_more() {
    let (memory, start, hold) = (Memory::default(), Instant::now(), Duration::from_secs(20));
    let (half, names) = (start + hold / 2, ["a/pool", "a/other", "ab/pool"]);
    for name in names {
        assert_eq!(memory.hold(name, hold, start), Some(hold));
    }
    memory.end_handovers("a", |name| name == "a/pool");
    assert_eq!(names.map(|name| memory.hold(name, hold, half)), [Some(hold / 2), Some(hold), Some(hold / 2)]);
}

#[test]
fn what_is_gone_is_forgotten() {
    let (memory, start, hold) = (Memory::default(), Instant::now(), Duration::from_secs(30));
    for uid in ["there", "gone"] {
        memory.settle(uid, "7", "hash");
        memory.remember(uid, &Record::default());
        assert_eq!(memory.hold(uid, hold, start), Some(hold));
    }
    memory.prune(|uid| uid == "there");
    assert!(
        of(&memory, "there").is_settled("there", "7", "hash")
            && !of(&memory, "gone").is_settled("gone", "7", "hash")
    );
    assert!(of(&memory, "there").records.len() == 1 && of(&memory, "gone").records.is_empty());
    assert_eq!(memory.hold("there", hold, start + hold), None);
    assert_eq!(memory.hold("gone", hold, start + hold), Some(hold));
}

#[test]
fn who_begins_to_lead_knows_nothing() {
    let (memory, start, hold) = (Memory::default(), Instant::now(), Duration::from_secs(30));
    memory.settle("a", "7", "hash");
    memory.remember("a", &Record::default());
    memory.keep("a", KeptRevision { number: 1, revision: "r".to_owned() });
    memory.refused("a", start);
    memory.note_made("a", Kind::Service, "qwen-picker");
    assert_eq!(memory.hold("a", hold, start), Some(hold));
    memory.begin();
    assert_eq!(of(&memory, "a"), Remembered::default());
    assert_eq!(memory.refused("a", start + hold), Duration::ZERO);
    assert_eq!(memory.hold("a", hold, start + hold), Some(hold));
}

#[test]
fn what_was_made_is_known_until_it_is_seen() {
    let memory = Memory::default();
    memory.note_made("a", Kind::Service, "qwen-picker");
    memory.note_made("a", Kind::Role, "qwen-picker");
    memory.note_seen("a", [(Kind::Service, "qwen-picker"), (Kind::Role, "other")].into_iter());
    assert_eq!(of(&memory, "a").made, [(Kind::Role, "qwen-picker".to_owned())].into());
    memory.prune(|uid| uid != "a");
    assert!(of(&memory, "a").made.is_empty());
}

#[test]
fn a_settled_object_is_settled_for_that_state_only() {
    let memory = Memory::default();
    memory.settle("uid", "7", "hash");
    let remembered = of(&memory, "uid");
    assert!(remembered.is_settled("uid", "7", "hash"));
    assert!(!remembered.is_settled("uid", "8", "hash"));
    assert!(!remembered.is_settled("uid", "7", "other"));
}

#[test]
fn refusals_last_until_the_pool_is_forgotten() {
    let (memory, start, minute) = (Memory::default(), Instant::now(), Duration::from_secs(60));
    assert_eq!(memory.refused("a", start), Duration::ZERO);
    assert_eq!(memory.refused("a", start + minute), minute);
    assert_eq!(memory.refused("b", start + minute), Duration::ZERO);
    memory.forget("a");
    assert_eq!(memory.refused("a", start + minute), Duration::ZERO);
}
