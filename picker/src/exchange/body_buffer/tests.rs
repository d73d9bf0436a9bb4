use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1 << 20;

fn gathered(chunks: &[Bytes]) -> BodyBuffer {
    let mut gathered = BodyBuffer::expecting(None, LIMIT);
    chunks.iter().for_each(|chunk| assert!(gathered.push(&mut chunk.clone(), |_| true)));
    gathered
}

#[test]
fn a_single_chunk_is_not_copied() {
    let (chunk, empty) = (Bytes::from_static(b"chunk"), Bytes::new());
    for chunks in [&[chunk.clone()][..], &[empty.clone(), chunk.clone(), empty.clone()]] {
        assert_eq!(gathered(chunks).finish().as_ptr(), chunk.as_ptr());
    }
    assert_eq!(gathered(&[chunk.clone(), chunk.clone(), chunk]).finish(), "chunkchunkchunk");
    assert_eq!(gathered(&[empty]).finish(), "");
}

#[test]
fn an_announced_body_is_copied_once() {
    let chunk = Bytes::from(vec![7; 1000]);
    let mut gathered = BodyBuffer::expecting(Some(AHEAD), LIMIT);
    let mut push = || gathered.push(&mut chunk.clone(), |_| true).then_some(gathered.copy.as_ptr());
    push();
    let before = push();
    (0..63).for_each(|_| assert_eq!(push(), before));
    assert_eq!((gathered.len(), gathered.copy.capacity()), (65_000, AHEAD));
}

#[test]
fn what_is_announced_is_counted_or_not_believed() {
    for announced in [AHEAD + 1, LIMIT, usize::MAX] {
        for granted in [true, false] {
            let mut gathered = BodyBuffer::expecting(Some(announced), LIMIT);
            let mut asked = Vec::new();
            let push = |gathered: &mut BodyBuffer, asked: &mut Vec<Room>| {
                gathered.push(&mut Bytes::from_static(b"x"), |room| {
                    asked.push(room);
                    granted || matches!(room, Room::Needed(_))
                })
            };
            assert!((0..2).all(|_| push(&mut gathered, &mut asked)));
            let whole = announced.min(LIMIT);
            let (room, mut expected) = if granted { (whole, vec![]) } else { (AHEAD, vec![Room::Needed(1)]) };
            expected.splice(0..0, [Room::Needed(1), Room::Ahead(whole - 1)]);
            assert_eq!((gathered.copy.capacity(), asked), (room, expected), "{announced} {granted}");
        }
    }
}

#[test]
fn where_there_is_no_place_for_ample_room_there_may_be_one_for_the_bytes() {
    let chunk = Bytes::from(vec![7; AHEAD]);
    let mut gathered = BodyBuffer::expecting(Some(4 * AHEAD), LIMIT);
    let mut left = 3 * AHEAD;
    let mut push = |gathered: &mut BodyBuffer| {
        gathered.push(&mut chunk.clone(), |room| {
            let Room::Needed(more) = room else { return false };
            let left_then = left.checked_sub(more);
            left = left_then.unwrap_or(left);
            left_then.is_some()
        })
    };
    assert_eq!([(); 4].map(|()| push(&mut gathered)), [true, true, true, false]);
    assert_eq!((gathered.len(), gathered.copy.capacity()), (3 * AHEAD, 3 * AHEAD));
}

#[test]
fn tiny_chunks_hold_nothing_but_their_bytes() {
    let source = Bytes::from(vec![7; 100_000]);
    let gathered = gathered(&(0..source.len()).map(|at| source.slice(at..=at)).collect::<Vec<_>>());
    assert_eq!(gathered.len(), source.len());
    assert!(gathered.copy.capacity() <= 2 * source.len(), "{}", gathered.copy.capacity());
    // No chunk is left that would keep its source.
    assert!(gathered.only.is_empty());
    assert_eq!(gathered.finish(), source);
}

proptest! {
    /// Whatever a client announces and however it cuts its body.
    #[test]
    fn all_memory_beyond_the_first_is_counted(
        announced in prop::option::of(0..2 * LIMIT),
        is_granted_ahead: bool,
        chunks in prop::collection::vec(0..100_000_usize, 1..20),
    ) {
        let mut gathered = BodyBuffer::expecting(announced, LIMIT);
        let mut counted = 0;
        for length in chunks {
            let pushed = gathered.push(&mut vec![7; length].into(), |room| {
                let (granted, more) = match room {
                    Room::Needed(more) => (true, more),
                    Room::Ahead(more) => (is_granted_ahead, more),
                };
                counted += if granted { more } else { 0 };
                granted
            });
            prop_assert!(pushed);
            prop_assert!(counted >= gathered.len());
            prop_assert!(gathered.copy.capacity() <= counted.max(AHEAD));
            // And little more than is there, or was announced where there is place for that.
            let ahead = announced.filter(|_| is_granted_ahead).unwrap_or_default().min(LIMIT);
            prop_assert!(counted <= (4 * gathered.len()).max(AHEAD).max(ahead));
        }
    }
}
