use super::*;

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

const LIMITS: Limits = Limits { interval: millis(50), rest: millis(2000), share: Some(0.02) };

fn after(times: &[u64]) -> Pace {
    let mut pace = Pace::default();
    times.iter().for_each(|time| pace.took(millis(*time)));
    pace
}

#[test]
fn a_server_spends_no_more_than_its_share_on_pages() {
    let flowing = |times: &[u64]| after(times).interval(&LIMITS, false);
    assert_eq!([&[][..], &[1], &[30], &[60, 20, 500]].map(flowing), [50, 50, 1500, 1000].map(millis));
    // What takes seconds is still asked now and then.
    assert_eq!(flowing(&[3000]), LONGEST);
    let free = Limits { share: None, ..LIMITS };
    assert_eq!(after(&[30]).interval(&free, false), millis(50));
}

#[test]
fn at_rest_the_longer_interval_counts() {
    let resting = |times: &[u64]| after(times).interval(&LIMITS, true);
    assert_eq!([&[][..], &[1], &[30], &[60]].map(resting), [2000, 2000, 2000, 3000].map(millis));
    let never = Limits { rest: Duration::ZERO, ..LIMITS };
    assert_eq!(after(&[1]).interval(&never, true), millis(50));
}

#[test]
fn replicas_together_take_the_share_and_the_rate_of_one() {
    let of_one_of = |replicas| LIMITS.of_one_of(replicas);
    assert_eq!([0, 1].map(of_one_of), [LIMITS, LIMITS]);
    let limits = |interval, share| Limits { interval: millis(interval), share: Some(share), ..LIMITS };
    assert_eq!([2, 4, 5].map(of_one_of), [limits(100, 0.01), limits(200, 0.005), limits(250, 0.004)]);
    // Of a thousand, too, each has figures that are no older than that.
    assert_eq!(of_one_of(1000), limits(250, 0.00002));
    let flowing = |replicas| after(&[2]).interval(&of_one_of(replicas), false);
    assert_eq!([1, 2, 3, 50, 1000, u32::MAX].map(flowing), [100, 200, 300, 5000, 10_000, 10_000].map(millis));
    let resting = |replicas| after(&[2]).interval(&of_one_of(replicas), true);
    assert_eq!([1, 3, 20, 30].map(resting), [2000, 2000, 2000, 3000].map(millis));
    // Whoever scrapes more seldom anyway goes on so.
    let seldom = Limits { interval: millis(1000), ..LIMITS };
    assert_eq!(seldom.of_one_of(3), Limits { share: Some(0.02 / 3.0), ..seldom });
    let free = Limits { share: None, ..LIMITS };
    assert_eq!(free.of_one_of(3), Limits { interval: millis(150), ..free });
}

#[test]
fn what_a_page_once_took_is_forgotten_in_the_end() {
    let mut pace = after(&[2]);
    let mut seen = Vec::new();
    for _ in 0..3 * MEMORY {
        pace.took(millis(20));
        seen.push(pace.interval(&LIMITS, false));
    }
    let longer = seen.iter().position(|interval| *interval == millis(1000)).unwrap();
    assert!((MEMORY..=2 * MEMORY).contains(&(longer as u32)), "{longer}");
    assert!(seen[longer..].iter().all(|interval| *interval == millis(1000)));
    pace.forget();
    assert_eq!(pace.interval(&LIMITS, false), millis(50));
}
