#![allow(clippy::disallowed_methods, reason = "tests make the time of a decision")]

use super::*;

fn renders() -> (Arc<Renders>, Instant) {
    (Arc::default(), Instant::now())
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Whether a request at `now` may ask; if so, it ends with `error`.
fn asks(renders: &Arc<Renders>, now: Instant, error: Option<PostError>) -> bool {
    renders.begin(0, now).map(|render| render.ended(error)).is_ok()
}

#[test]
fn a_server_that_fails_is_left_alone_for_longer_and_longer_and_one_request_tries() {
    let (renders, start) = renders();
    let failed = Some(PostError::Connect);
    // As many as wait at once.
    assert_eq!([1, 2, 3].map(|_| asks(&renders, start, failed)), [true; 3]);
    let mut at = start;
    for rest in [1, 2, 4, 8, 16, 30, 30] {
        assert!(!asks(&renders, at + seconds(rest) - Duration::from_nanos(1), failed), "{rest}");
        at += seconds(rest);
        let trial = renders.begin(0, at).unwrap();
        assert_eq!(renders.begin(0, at).unwrap_err(), RESTING);
        assert!(!trial.ended(failed), "told once");
    }
    assert!(asks(&renders, at + seconds(30), None));
    // It is well again, and as patient as ever.
    assert_eq!([1, 2, 3, 4].map(|_| asks(&renders, at + seconds(30), failed)), [true, true, true, false]);
}

#[test]
fn a_trial_that_has_no_end_is_followed_by_another() {
    let (renders, start) = renders();
    let first = renders.begin(0, start).unwrap();
    assert!(!renders.failed(start + seconds(5)));
    assert!(!first.ended(Some(PostError::Status(503))));
    assert!(renders.failed(start + seconds(5)));
    let trial = renders.begin(0, start + seconds(6)).unwrap();
    assert!(!asks(&renders, start + seconds(6), None));
    drop(trial);
    assert!(asks(&renders, start + seconds(7), None));
    assert_eq!(renders.waiting(), 0);
}

#[test]
fn what_it_does_not_have_is_not_asked_for_again_and_everything_else_is() {
    let (renders, start) = renders();
    for status in [404, 405, 501] {
        let ended = |error| assert!(!renders.begin(2, start).unwrap().ended(error));
        ended(None);
        // A client can make it say so once, by what it names in a request.
        ended(Some(PostError::Status(status)));
        ended(Some(PostError::Status(status)));
        ended(None);
        (0..3).for_each(|_| ended(Some(PostError::Status(status))));
        assert_eq!(renders.begin(2, start + seconds(59)).unwrap_err(), RESTING);
        assert!(asks(&renders, start, None));
        renders.missing[2].store(0, Ordering::Relaxed);
    }
    // A request that it refuses is no failure of the server.
    for error in [PostError::Status(400), PostError::Status(422), PostError::TooLong, PostError::NoRoom] {
        assert_eq!([1, 2, 3, 4].map(|_| asks(&renders, start, Some(error))), [true; 4], "{error:?}");
    }
    for error in [
        PostError::Status(500),
        PostError::Status(429),
        PostError::Status(302),
        PostError::Broken,
        PostError::Unreadable,
    ] {
        assert_eq!(
            [1, 2, 3, 4].map(|_| asks(&renders, start, Some(error))),
            [true, true, true, false],
            "{error:?}"
        );
        renders.is_well();
    }
}

#[test]
fn only_so_many_wait() {
    let (renders, start) = renders();
    let mut waiting: Vec<_> = (0..MOST_WAITING).map(|_| renders.begin(1, start).unwrap()).collect();
    assert_eq!(renders.begin(1, start).unwrap_err(), BUSY);
    waiting.pop();
    assert!(asks(&renders, start, None));
    drop(waiting);
    assert_eq!(renders.waiting(), 0);
}
