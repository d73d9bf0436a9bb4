//! Whatever happens to an endpoint, in any order.

use proptest::prelude::*;

use super::*;

/// What may happen to an endpoint.
#[derive(Clone, Copy, Debug)]
enum Event {
    Wait(u64),
    Report(Verdict, bool),
    Begin,
    End(Verdict, bool),
    Drop,
    Refused,
    Connected,
    Look,
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Succeeded),
        Just(Verdict::Answered),
        Just(Verdict::ServerError),
        Just(Verdict::Unreachable),
        Just(Verdict::PassedOver),
        Just(Verdict::Nothing),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..3_000_u64).prop_map(Event::Wait),
        (30_000..60_000_u64).prop_map(Event::Wait),
        (verdict(), any::<bool>()).prop_map(|(verdict, fast)| Event::Report(verdict, fast)),
        Just(Event::Begin),
        (verdict(), any::<bool>()).prop_map(|(verdict, fast)| Event::End(verdict, fast)),
        Just(Event::Drop),
        Just(Event::Refused),
        Just(Event::Connected),
        Just(Event::Look),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_there_is_one_trial_at_most_and_a_way_back(events in prop::collection::vec(event(), 0..80)) {
        let mut stage = Stage::new();
        let mut trial = None;
        for event in events {
            match event {
                Event::Wait(millis) => stage.wait(millis),
                Event::Report(verdict, fast) => {
                    let now = stage.now;
                    stage.health.report(verdict, now, fast, 1, now);
                }
                Event::Begin => {
                    let was = stage.phase();
                    let begun = stage.begin();
                    prop_assert!(begun.is_none() || was != Phase::Trial);
                    // An earlier one that outlived is dropped late.
                    trial = begun.or(trial);
                }
                Event::End(verdict, fast) => {
                    if let Some(trial) = trial.take() {
                        Trial::end(trial, verdict, fast, stage.now);
                    }
                }
                Event::Drop => trial = None,
                Event::Refused => stage.refused(),
                Event::Connected => stage.connected(),
                Event::Look => {
                    stage.standing();
                }
            }
            prop_assert_eq!(stage.any(), stage.phase() != Phase::Healthy);
        }
        drop(trial);
        // Whatever was, after the longest ejection it is tried, and well when the trial is.
        stage.wait(36_000);
        if stage.standing() != Standing::Healthy {
            prop_assert_eq!(stage.standing(), Standing::Due);
            stage.begin().unwrap().end(Verdict::Succeeded, true, stage.now);
        }
        prop_assert_eq!((stage.standing(), stage.any()), (Standing::Healthy, false));
    }

    #[test]
    fn a_state_is_what_it_was_when_it_is_unpacked(
        phase in 0..4_u64, reason in 0..3_u64, rest in 0..1_u64 << 60,
    ) {
        let word = phase | reason << 2 | rest << 4;
        prop_assert_eq!(State::unpack(word).pack(), word);
        prop_assert_eq!(State::unpack(State::unpack(word).pack()), State::unpack(word));
    }
}
