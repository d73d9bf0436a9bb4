//! Requests that are served under a condition: `Prefer: if-available`, and priorities below 0.

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::compile::compile;
use crate::config::Scope;
use crate::store::StateStore;
use crate::testing::{request, spec, with_headers};
use crate::view::{Reading, Signals};

fn compiled(plugins: serde_json::Value) -> Strategy {
    compile(&json!({"plugins": plugins}), Scope::Resource, &StateStore::default()).unwrap().strategy
}

/// What becomes of a request with this `prefer` header whose prompt is one that was sent before, or is not.
fn preferring(strategy: &Strategy, prefer: &str, before: bool) -> Result<(), RefusalKind> {
    let (view, mut cx) = (unknown(1), Cx::new(Instant::now(), 7));
    let prompt = "a prompt of many blocks ".repeat(100);
    if before {
        strategy.route(&request("m", &prompt), &view, None, &mut cx).unwrap();
    }
    let mut asked = request("m", &prompt);
    asked.headers = with_headers([("prefer", "respond-async"), ("prefer", prefer)]).headers;
    strategy.route(&asked, &view, None, &mut cx).map(drop).map_err(|refusal| refusal.kind)
}

#[rstest]
#[case("if-available", Err(RefusalKind::NotCached))]
#[case("wait=10, IF-Available; x=1", Err(RefusalKind::NotCached))]
#[case("if-available2", Ok(()))]
#[case("x=if-available", Ok(()))]
#[case("", Ok(()))]
fn a_client_that_prefers_a_cached_answer_gets_no_other(
    #[case] prefer: &str,
    #[case] uncached: Result<(), RefusalKind>,
) {
    let strategy = || compiled(json!([{"type": "prefix-cache-scorer"}]));
    assert_eq!(preferring(&strategy(), prefer, false), uncached);
    assert_eq!(preferring(&strategy(), prefer, true), Ok(()));
}

#[test]
fn where_nothing_is_known_of_caches_every_answer_will_do() {
    let strategy = compiled(json!([{"type": "random-picker"}]));
    assert_eq!(preferring(&strategy, "if-available", false), Ok(()));
}

#[test]
fn a_dry_run_is_told_the_same() {
    let strategy = compiled(json!([{"type": "prefix-cache-scorer"}]));
    let mut asked = request("m", &"a prompt ".repeat(100));
    asked.headers = with_headers([("prefer", "if-available")]).headers;
    let mut cx = Cx::new(Instant::now(), 7);
    let tried = strategy.dry_run(&asked, &unknown(1), &mut cx, &mut NoTrace);
    assert_eq!(tried.unwrap_err(), RefusalKind::NotCached);
}

/// Waiting requests and KV cache usage of an endpoint, where they are known.
type Load = (Option<f32>, Option<f32>);

#[rstest]
#[case::idle(&[(Some(0.0), Some(0.1))], true)]
#[case::full_queue(&[(Some(5.0), Some(0.1))], false)]
#[case::full_cache(&[(Some(0.0), Some(0.8))], false)]
#[case::one_figure(&[(None, Some(0.9))], false)]
#[case::mean_below(&[(Some(9.0), None), (Some(0.0), None)], true)]
#[case::mean_at(&[(Some(10.0), None), (Some(0.0), None)], false)]
#[case::unknown_counts_as_full(&[(Some(5.0), None), (None, None)], false)]
#[case::unknown_alone(&[(None, None)], true)]
fn a_request_that_may_be_turned_away_is_when_the_servers_are_saturated(
    #[case] loads: &[Load],
    #[case] admitted: bool,
) {
    let mut slots = crate::endpoint::Slots::default();
    let row = |(n, &(waiting, kv_usage)): (usize, &Load)| {
        let signals = Signals { waiting, kv_usage, ..Signals::default() };
        (Arc::new(slots.admit(spec(n as u8 + 1))), Reading { signals, at: Some(Instant::now()) })
    };
    let rows = loads.iter().enumerate().map(row).collect();
    let view = View::build(rows, Instant::now(), Duration::from_secs(60));
    let strategy = compiled(json!([{"type": "queue-scorer"}, {"type": "kv-cache-utilization-scorer"}]));
    let routed = |priority| {
        let request = Request { priority, ..request("m", "a") };
        let routed = strategy.route(&request, &view, None, &mut Cx::new(Instant::now(), 7));
        routed.map(drop).map_err(|refusal| refusal.kind)
    };
    let expected = if admitted { Ok(()) } else { Err(RefusalKind::Shed) };
    assert_eq!([routed(-1), routed(0), routed(1)], [expected, Ok(()), Ok(())]);
}
