use picker_core::endpoint::{EndpointId, EndpointSpec, Slots};

use super::*;

const NEVER: [u64; 0] = [];
const AFTER: Duration = Duration::from_secs(30);

fn endpoints() -> [Endpoint; 2] {
    let mut slots = Slots::default();
    ["frozen", "other"].map(|pod| {
        slots.admit(EndpointSpec {
            id: EndpointId { pod_uid: pod.into(), port: 8000, rank: 0 },
            pod: pod.to_owned(),
            namespace: "default".to_owned(),
            address: "10.0.0.1:8000".parse().unwrap(),
            labels: Default::default(),
        })
    })
}

fn signals(waiting: f32) -> Signals {
    Signals { waiting: Some(waiting), kv_usage: Some(0.904), block_size: Some(16), ..Signals::default() }
}

/// The seconds in which the first endpoint is doubted, whose queue is `frozen`, beside one whose queue is `other` each
/// second.
fn doubted(frozen: f32, other: fn(u64) -> f32, after: Duration) -> Vec<u64> {
    let ([one, two], mut doubts, start) = (endpoints(), Doubts::default(), Instant::now());
    let mut seconds = Vec::new();
    for second in 0..60 {
        let now = start + Duration::from_secs(second);
        let (mut first, mut second_signals) = (signals(frozen), signals(other(second)));
        doubts.look(&one, &mut first, now, after);
        doubts.look(&two, &mut second_signals, now, after);
        assert_eq!(second_signals, signals(other(second)), "who moves is believed");
        if first != signals(frozen) {
            assert_eq!(first, Signals { block_size: Some(16), ..Signals::default() });
            assert!(doubts.doubts(one.key));
            seconds.push(second);
        }
        doubts.sweep();
    }
    seconds
}

#[test]
fn a_gauge_that_stands_still_beside_others_that_move_is_doubted() {
    assert_eq!(doubted(15.0, |second| second as f32, AFTER), (30..60).collect::<Vec<_>>());
    // Nobody has requests, or it has none, or nobody wants to know.
    assert_eq!(doubted(15.0, |_| 0.0, AFTER), NEVER);
    assert_eq!(doubted(0.0, |second| second as f32, AFTER), NEVER);
    assert_eq!(doubted(15.0, |second| second as f32, Duration::ZERO), NEVER);
}

#[test]
fn who_is_gone_is_forgotten() {
    let ([one, two], mut doubts, now) = (endpoints(), Doubts::default(), Instant::now());
    doubts.look(&one, &mut signals(1.0), now, AFTER);
    doubts.look(&two, &mut signals(1.0), now, AFTER);
    doubts.sweep();
    doubts.look(&two, &mut signals(1.0), now, AFTER);
    doubts.sweep();
    assert_eq!(doubts.rows.keys().copied().collect::<Vec<_>>(), [two.key]);
}
