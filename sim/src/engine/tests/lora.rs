//! Adapters and their slots.

use super::*;

fn adapted(id: u64, lora: u32) -> Request {
    Request { lora: Some(LoraId(lora)), ..request(id, id as u32, 4, 2) }
}

#[test]
fn a_sequence_waits_for_a_slot_and_others_pass_it() {
    let mut engine = engine(config());
    for (id, lora) in [(1, 7), (2, 8), (3, 9), (4, 7)] {
        engine.submit(Duration::ZERO, adapted(id, lora)).unwrap();
    }
    engine.submit(Duration::ZERO, request(5, 5, 4, 1)).unwrap();
    engine.step(Duration::ZERO);
    assert_eq!(engine.running_loras(), [LoraId(7), LoraId(8)]);
    assert_eq!(engine.waiting_loras(), [LoraId(9)]);
    assert_eq!((engine.running(), engine.waiting()), (4, 1));

    let order: Vec<u64> = run(&mut engine, Duration::ZERO).iter().filter(|t| t.3).map(|t| t.1).collect();
    assert_eq!(order, [5, 1, 2, 4, 3]);
}
