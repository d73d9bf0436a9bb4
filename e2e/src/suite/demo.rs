//! The demo as a check: run as a user runs it for the second time.

use std::time::{Duration, Instant};

use super::tally::Tally;
use crate::Progress;
use crate::demo::Demo;
use crate::test_env::Figure;

/// The longest that it may take when everything was built before.
const LONGEST: Duration = Duration::from_secs(120);

/// Runs it with a cluster of its own, which goes at its end.
pub async fn run(progress: &Progress, tally: &mut Tally) {
    let began = Instant::now();
    let outcome = Demo::default().run(progress).await;
    let took = began.elapsed();
    let mut missed = Vec::new();
    if let Err(error) = &outcome {
        println!("{error:#}");
        missed.push("something in it did not hold".to_owned());
    }
    if took > LONGEST {
        missed.push(format!("it takes more than {} s", LONGEST.as_secs()));
    }
    let ok = missed.is_empty();
    let bar =
        "cargo xtask demo, for the second time: everything in it holds, in less than two minutes".to_owned();
    let measured = format!("{:.0} s from no cluster to no cluster", took.as_secs_f64());
    tally.story("demo", Figure { bar, measured, missed, ..Figure::default() }, ok, took);
}
