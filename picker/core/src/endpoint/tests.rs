use super::*;

const LOAD: Load = Load { requests: 1, tokens: 5 };
use crate::testing::spec;

#[test]
fn a_slot_is_used_again_and_a_key_is_not() {
    let mut slots = Slots::default();
    let [a, b, c] = [0, 1, 2].map(|n| slots.admit(spec(n)));
    assert_eq!([(a.slot, a.key), (b.slot, b.key), (c.slot, c.key)], [(0, 1), (1, 2), (2, 3)]);
    slots.release(&c);
    slots.release(&a);
    let [d, e, f] = [3, 4, 5].map(|n| slots.admit(spec(n)));
    assert_eq!([(d.slot, d.key), (e.slot, e.key), (f.slot, f.key)], [(0, 4), (2, 5), (3, 6)]);
}

#[test]
fn a_revised_endpoint_is_the_same_one() {
    let old = Slots::default().admit(spec(1));
    old.live().add(LOAD);
    let mut changed = spec(1);
    changed.labels.insert("role".to_owned(), "decode".to_owned());
    assert_eq!((old.matches(&spec(1)), old.matches(&changed)), (true, false));

    let new = old.revised(changed.clone());
    assert!(new.matches(&changed));
    assert_eq!((new.slot, new.key, new.live().in_flight()), (old.slot, old.key, 1));
    assert_ne!(new.labels_hash, old.labels_hash);
    assert_eq!(new.revised(spec(1)).labels_hash, old.labels_hash);
    new.live().give_back(LOAD);
    assert_eq!(old.live().in_flight(), 0);
}

#[test]
fn names_and_destinations_are_as_gateways_expect_them() {
    let mut v6 = spec(1);
    v6.id.rank = 3;
    v6.address = "[fd00::1]:8003".parse().unwrap();
    let endpoint = Slots::default().admit(v6);
    assert_eq!((endpoint.name.as_str(), endpoint.destination.as_str()), ("pod-1-rank-3", "[fd00::1]:8003"));
    assert_eq!(Slots::default().admit(spec(1)).destination, "10.0.0.1:8000");
}
