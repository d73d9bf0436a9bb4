use std::sync::Arc;
use std::time::{Duration, Instant};

use super::state::State;
use super::*;
use crate::cx::Cx;

mod properties;

const SETTINGS: Settings = Settings {
    enabled: true,
    base_ejection_time: Duration::from_secs(1),
    max_ejection_time: Duration::from_secs(30),
    ejection_multiplier: 5,
    max_ejection_percent: 50,
    fast_failure: Duration::from_secs(1),
};

/// One endpoint and a clock that stands still until it is moved.
struct Stage {
    health: Arc<Health>,
    now: Instant,
    cx: Cx,
}

impl Stage {
    fn new() -> Self {
        let (now, pool) = (Instant::now(), Arc::<PoolHealth>::default());
        let stage = Self { health: Arc::new(Health::new("a", pool)), now, cx: Cx::new(now, 1) };
        // Time counts from here.
        stage.health.status(now);
        stage
    }

    fn wait(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    /// A request that is sent and answered now.
    fn report(&mut self, verdict: Verdict) {
        self.wait(1);
        self.health.report(verdict, self.now, true, 1, self.now);
    }

    fn standing(&mut self) -> Standing {
        self.health.standing(self.now, &SETTINGS, &mut self.cx)
    }

    fn begin(&self) -> Option<Trial> {
        Trial::begin(&self.health, self.now, &SETTINGS)
    }

    fn phase(&self) -> Phase {
        self.health.status(self.now).phase
    }

    /// Milliseconds until it is due for a trial.
    fn until_due(&mut self) -> u64 {
        let mut waited = 0;
        while self.standing() == Standing::Out {
            assert!(waited < 100_000, "ejected for ever");
            self.wait(10);
            waited += 10;
        }
        assert_eq!(self.standing(), Standing::Due);
        waited
    }

    fn refused(&self) {
        self.health.refused(self.now, &SETTINGS);
    }

    fn connected(&self) {
        self.health.connected(self.now);
    }

    fn any(&self) -> bool {
        self.health.pool().any()
    }
}

#[test]
fn one_fast_error_ejects_and_a_trial_that_succeeds_readmits() {
    let mut stage = Stage::new();
    assert_eq!((stage.standing(), stage.any(), stage.health.is_clean()), (Standing::Healthy, false, true));
    stage.report(Verdict::ServerError);
    assert_eq!((stage.standing(), stage.any(), stage.health.is_clean()), (Standing::Out, true, false));
    stage.until_due();
    let trial = stage.begin().unwrap();
    assert_eq!(stage.standing(), Standing::Out);
    assert!(stage.begin().is_none(), "one at a time");
    trial.end(Verdict::Succeeded, true, stage.now);
    assert_eq!((stage.standing(), stage.any()), (Standing::Healthy, false));
    assert_eq!(Reason::ALL.map(|reason| stage.health.pool().ejections(reason)), [0, 0, 1]);
}

#[test]
fn ejections_grow_up_to_the_longest_and_are_a_little_longer_at_random() {
    let mut stage = Stage::new();
    stage.report(Verdict::ServerError);
    let mut times = Vec::new();
    for _ in 0..6 {
        times.push(stage.until_due());
        let trial = stage.begin().unwrap();
        trial.end(Verdict::ServerError, true, stage.now);
    }
    for (time, base) in times.iter().zip([1_000, 5_000, 25_000, 30_000, 30_000, 30_000]) {
        assert!((base..=base * 6 / 5 + 10).contains(time), "{times:?}");
    }
    assert!(times[3] != times[4] || times[4] != times[5], "{times:?}");
    assert_eq!(stage.health.pool().ejections(Reason::ServerError), 7);
}

#[test]
fn what_is_not_the_servers_fault_changes_nothing() {
    let mut stage = Stage::new();
    for verdict in [Verdict::Answered, Verdict::Nothing, Verdict::Succeeded] {
        stage.report(verdict);
    }
    let now = stage.now;
    stage.health.report(Verdict::ServerError, now, false, 1, now);
    assert_eq!((stage.phase(), stage.health.is_clean()), (Phase::Healthy, true));
}

#[test]
fn a_trial_without_a_verdict_is_given_back_and_one_that_is_none_changes_nothing() {
    for verdict in [None, Some(Verdict::Nothing), Some(Verdict::Answered)] {
        let mut stage = Stage::new();
        stage.report(Verdict::ServerError);
        stage.until_due();
        let trial = stage.begin().unwrap();
        match verdict {
            None => drop(trial),
            Some(verdict) => trial.end(verdict, true, stage.now),
        }
        assert_eq!((stage.phase(), stage.standing()), (Phase::Due, Standing::Due), "{verdict:?}");
        assert!(stage.begin().is_some());
    }
}

#[test]
fn a_trial_that_is_dropped_late_gives_no_later_one_back() {
    let mut stage = Stage::new();
    stage.report(Verdict::ServerError);
    stage.until_due();
    let late = stage.begin().unwrap();
    // It has not failed fast.
    stage.wait(1_000);
    assert_eq!(stage.standing(), Standing::Healthy);
    stage.report(Verdict::ServerError);
    stage.until_due();
    let now = stage.begin().unwrap();
    drop(late);
    assert_eq!(stage.phase(), Phase::Trial);
    drop(now);
    assert_eq!(stage.phase(), Phase::Due);
}

#[test]
fn a_trial_of_an_unreachable_server_outlives_the_patience_of_gateways() {
    let mut stage = Stage::new();
    stage.report(Verdict::Unreachable);
    stage.until_due();
    let _trial = stage.begin().unwrap();
    stage.wait(14_999);
    assert_eq!(stage.standing(), Standing::Out);
    stage.wait(1);
    assert_eq!(stage.standing(), Standing::Healthy);
}

#[test]
fn requests_from_before_say_nothing_of_now() {
    let mut stage = Stage::new();
    let before = stage.now;
    stage.wait(5);
    stage.report(Verdict::ServerError);
    stage.wait(5);
    // Sent before it failed.
    stage.health.report(Verdict::Succeeded, before, true, 1, stage.now);
    assert_eq!(stage.phase(), Phase::Ejected);
    let failing = stage.now;
    stage.until_due();
    stage.begin().unwrap().end(Verdict::Succeeded, true, stage.now);
    // Sent before it was well again.
    stage.health.report(Verdict::ServerError, failing, true, 1, stage.now);
    assert_eq!(stage.phase(), Phase::Healthy);
}

#[test]
fn many_failures_at_once_are_one_ejection() {
    let mut stage = Stage::new();
    for _ in 0..20 {
        stage.report(Verdict::ServerError);
    }
    assert!(stage.until_due() <= 1_200);
}

/// Milliseconds for which it is ejected when `failed` of `all` requests fail that it was sent at once.
fn ejected_by_a_burst(stage: &mut Stage, failed: u32, all: u32) -> u64 {
    stage.wait(1);
    let launched = stage.now;
    for n in 0..failed {
        stage.wait(1);
        stage.health.report(Verdict::ServerError, launched, true, all - n, stage.now);
    }
    assert_eq!(stage.phase(), Phase::Ejected);
    stage.until_due()
}

#[test]
fn an_endpoint_is_ejected_for_longer_when_most_that_it_was_sent_at_once_has_failed() {
    let ejected = [(1, 1), (2, 2), (2, 9), (20, 40), (20, 20)]
        .map(|(failed, all)| ejected_by_a_burst(&mut Stage::new(), failed, all));
    let long = ejected.map(|time| match time {
        1_000..=1_210 => false,
        5_000..=6_010 => true,
        other => panic!("{other}"),
    });
    assert_eq!(long, [false, true, false, false, true]);
    // A burst of requests that are to blame themselves has to be longer each time.
    let mut stage = Stage::new();
    ejected_by_a_burst(&mut stage, 2, 2);
    stage.begin().unwrap().end(Verdict::Succeeded, true, stage.now);
    stage.report(Verdict::Succeeded);
    stage.report(Verdict::Succeeded);
    assert!(ejected_by_a_burst(&mut stage, 3, 3) <= 1_210);
}

#[test]
fn a_success_beside_the_trial_readmits_too() {
    // Requests go to endpoints that fail when too many do.
    let mut stage = Stage::new();
    stage.report(Verdict::ServerError);
    stage.report(Verdict::Succeeded);
    assert_eq!((stage.phase(), stage.any()), (Phase::Healthy, false));
}

/// How many errors in a row eject it.
fn errors_until_ejected(stage: &mut Stage) -> u32 {
    let mut errors = 0;
    while stage.phase() == Phase::Healthy {
        stage.report(Verdict::ServerError);
        errors += 1;
    }
    errors
}

/// A trial, as soon as one is due.
fn try_once(stage: &mut Stage, verdict: Verdict) {
    stage.until_due();
    stage.begin().unwrap().end(verdict, true, stage.now);
}

#[test]
fn errors_that_were_the_fault_of_requests_are_borne_with_for_a_while() {
    let mut stage = Stage::new();
    let borne = [(); 4].map(|()| {
        let errors = errors_until_ejected(&mut stage);
        try_once(&mut stage, Verdict::Succeeded);
        errors
    });
    assert_eq!(borne, [1, 2, 4, 8]);
    // Those too that ejected nobody.
    (0..9).for_each(|_| stage.report(Verdict::ServerError));
    stage.report(Verdict::Succeeded);
    assert_eq!(errors_until_ejected(&mut stage), 15 + 9 + 1);
    // A connection that fails is never borne with.
    try_once(&mut stage, Verdict::Succeeded);
    stage.report(Verdict::Unreachable);
    assert_eq!(stage.phase(), Phase::Ejected);
    try_once(&mut stage, Verdict::Succeeded);
    // They are forgotten.
    stage.wait(180_000);
    assert_eq!(errors_until_ejected(&mut stage), 1);
}

#[test]
fn a_trial_that_fails_takes_no_tolerance_away_and_it_takes_many_to_make_an_ejection_longer() {
    let mut stage = Stage::new();
    errors_until_ejected(&mut stage);
    try_once(&mut stage, Verdict::Succeeded);
    assert_eq!(errors_until_ejected(&mut stage), 2);
    // A request that the server is not to blame for was the trial.
    try_once(&mut stage, Verdict::ServerError);
    assert!(stage.until_due() <= 1_210, "as long as the first time");
    try_once(&mut stage, Verdict::ServerError);
    assert!(stage.until_due() >= 5_000, "four in a row");
    try_once(&mut stage, Verdict::Succeeded);
    stage.report(Verdict::Succeeded);
    assert_eq!(errors_until_ejected(&mut stage), 3);
}

#[test]
fn errors_of_several_endpoints_are_rather_the_fault_of_requests() {
    let mut stage = Stage::new();
    let other = Health::new("b", stage.health.pool().clone());
    stage.report(Verdict::ServerError);
    assert_eq!(stage.standing(), Standing::Out);
    let stray = |stage: &mut Stage, count| {
        (0..count).for_each(|_| {
            stage.wait(1);
            other.report(Verdict::ServerError, stage.now, true, 1, stage.now);
        });
        stage.wait(1);
        other.report(Verdict::Succeeded, stage.now, true, 1, stage.now);
    };
    stray(&mut stage, 1);
    stray(&mut stage, 2);
    assert_eq!(stage.standing(), Standing::Out);
    // With the fourth one error more is borne, and its was one.
    stray(&mut stage, 1);
    assert_eq!(stage.standing(), Standing::Healthy);
    assert_eq!(errors_until_ejected(&mut stage), 1);
    // A server that fails is not borne with for long beside them.
    (0..9).for_each(|_| stray(&mut stage, 5));
    assert_eq!(stage.standing(), Standing::Healthy);
    assert_eq!(errors_until_ejected(&mut stage), 6);
    assert!(stage.any());
}

#[test]
fn an_ejection_that_follows_soon_is_longer_and_successes_make_up_for_it() {
    let mut stage = Stage::new();
    let fail = |stage: &mut Stage| {
        stage.until_due();
        stage.begin().unwrap().end(Verdict::ServerError, true, stage.now);
    };
    let readmit = |stage: &mut Stage| {
        let waited = stage.until_due();
        stage.begin().unwrap().end(Verdict::Succeeded, true, stage.now);
        waited
    };
    stage.report(Verdict::ServerError);
    fail(&mut stage);
    fail(&mut stage);
    assert!(readmit(&mut stage) >= 25_000);
    // After an ejection as long as that one error is put down to requests, and no more.
    assert_eq!(errors_until_ejected(&mut stage), 2);
    assert!(readmit(&mut stage) >= 25_000);
    (0..3).for_each(|_| stage.report(Verdict::Succeeded));
    errors_until_ejected(&mut stage);
    assert!(readmit(&mut stage) < 1_500);
}

#[test]
fn a_connection_readmits_only_what_refused_connections_and_nothing_else() {
    let mut stage = Stage::new();
    stage.refused();
    assert_eq!(stage.phase(), Phase::Ejected);
    stage.connected();
    assert_eq!(stage.phase(), Phase::Healthy);
    // A server may take connections and reset them: a request tells, and soon, since it may have been a moment.
    stage.report(Verdict::Unreachable);
    stage.connected();
    assert_eq!((stage.phase(), stage.standing()), (Phase::Due, Standing::Due));
    let trial = stage.begin().unwrap();
    stage.connected();
    assert_eq!(stage.phase(), Phase::Trial);
    trial.end(Verdict::Unreachable, true, stage.now);
    stage.connected();
    assert_eq!(stage.phase(), Phase::Ejected, "it was no moment");
    stage.until_due();
    stage.begin().unwrap().end(Verdict::Succeeded, true, stage.now);
    stage.report(Verdict::Succeeded);
    // A server whose engine is dead has a page of metrics still.
    stage.report(Verdict::ServerError);
    stage.connected();
    assert_eq!(stage.phase(), Phase::Ejected);
    // It was going, and now it is another.
    stage.refused();
    stage.connected();
    assert_eq!((stage.phase(), stage.standing()), (Phase::Due, Standing::Due));
    stage.begin().unwrap().end(Verdict::Succeeded, true, stage.now);
    assert_eq!((stage.phase(), stage.any()), (Phase::Healthy, false));
}

#[test]
fn who_refused_connections_and_then_failed_its_trial_needs_another() {
    let mut stage = Stage::new();
    stage.refused();
    stage.until_due();
    stage.begin().unwrap().end(Verdict::ServerError, true, stage.now);
    stage.connected();
    assert_eq!(stage.phase(), Phase::Ejected);
    stage.refused();
    stage.connected();
    assert_eq!(stage.phase(), Phase::Due);
}

#[test]
fn refused_scrapes_take_the_place_of_trials_until_the_longest_ejection() {
    let mut stage = Stage::new();
    let mut out = 0_u64;
    stage.refused();
    while stage.standing() == Standing::Out {
        stage.wait(50);
        out += 50;
        stage.refused();
        assert!(out < 100_000, "ejected for ever");
    }
    // Of 1, 5 and 25 seconds the last 12 are not waited for, 30 are to their end; each is up to a fifth longer.
    assert!((43_000..55_000).contains(&out), "{out}");
    // Requests fare well all the same: scrapes say nothing then, until they succeed once.
    stage.begin().unwrap().end(Verdict::Succeeded, true, stage.now);
    stage.refused();
    assert_eq!(stage.phase(), Phase::Healthy);
    stage.connected();
    stage.refused();
    assert_eq!(stage.phase(), Phase::Ejected);
}

#[test]
fn any_answer_shows_that_a_server_can_be_reached() {
    let mut stage = Stage::new();
    stage.refused();
    stage.until_due();
    stage.begin().unwrap().end(Verdict::Answered, true, stage.now);
    assert_eq!(stage.phase(), Phase::Healthy);
}

#[test]
fn what_was_said_is_forgotten_and_goes_with_the_endpoint() {
    let mut stage = Stage::new();
    let pool = stage.health.pool().clone();
    stage.report(Verdict::ServerError);
    stage.health.forget();
    assert_eq!((stage.phase(), stage.any()), (Phase::Healthy, false));
    stage.report(Verdict::ServerError);
    assert!(pool.any());
    drop(stage);
    assert!(!pool.any());
}
