use picker_core::column::Column;
use picker_core::scrape::{MetricsSource, ServerShare, SourcePlan};

use std::net::{IpAddr, SocketAddr};

use super::*;
use crate::watch::{PageHosts, PoolPage};

fn defaults() -> Defaults {
    let limits =
        Limits { interval: Duration::from_millis(50), rest: Duration::from_secs(2), share: Some(0.02) };
    Defaults { place: Place::default(), limits, stale_after: Duration::from_secs(2) }
}

fn plan(source: MetricsSource) -> Arc<ScrapePlan> {
    Arc::new(SourcePlan::at(source, &[]).into())
}

/// The only source of the job.
fn current(jobs: &Jobs) -> Arc<SourceJob> {
    jobs.subscribe().borrow().as_ref().unwrap().sources[0].clone()
}

#[test]
fn only_another_plan_is_another_job() {
    let mut jobs = Jobs::new(defaults());
    let mut follow = jobs.subscribe();
    let plans = [&[][..], &[], &[Column::LORA], &[]].map(|columns| Arc::new(ScrapePlan::of(columns)));
    let mut changes = Vec::new();
    for plan in plans.iter().map(Some).chain([None, None]) {
        jobs.install(plan);
        changes.push((follow.has_changed().unwrap(), follow.borrow_and_update().is_some()));
    }
    let expected = [(true, true), (false, true), (true, true), (true, true), (true, false), (false, false)];
    assert_eq!(changes, expected);
}

#[test]
fn intervals_are_multiples_of_the_picker_s_own() {
    let millis = Duration::from_millis;
    let of = |interval| {
        let mut jobs = Jobs::new(defaults());
        jobs.install(Some(&plan(MetricsSource { interval, ..MetricsSource::default() })));
        let job = current(&jobs);
        (job.limits.interval, job.place.clone())
    };
    let cases = [None, Some(1), Some(60), Some(74), Some(80), Some(1010)].map(|n| of(n.map(millis)).0);
    assert_eq!(cases, [50, 50, 50, 50, 100, 1000].map(millis));
    assert_eq!(of(None).1, Place::default());
}

#[test]
fn what_a_strategy_says_of_the_pace_goes_before_the_flags() {
    let of = |source| {
        let mut jobs = Jobs::new(defaults());
        jobs.install(Some(&plan(source)));
        let job = current(&jobs);
        job.limits
    };
    let own = defaults().limits;
    assert_eq!(of(MetricsSource::default()), own);
    let rest_interval = Some(Duration::from_secs(5));
    let share = |share| ServerShare::new(share);
    let source = MetricsSource { rest_interval, server_share: share(0.25), ..MetricsSource::default() };
    assert_eq!(of(source), Limits { rest: Duration::from_secs(5), share: Some(0.25), ..own });
    let source = MetricsSource { server_share: share(0.0), ..MetricsSource::default() };
    assert_eq!(of(source), Limits { share: None, ..own });
}

/// The strategy's own scheme counts before that of the command line, and that before none.
#[test]
fn the_picker_s_tls_is_for_strategies_that_say_nothing_of_it() {
    let [of_picker, of_strategy] = [false, true].map(|verify| Tls { verify, ..Tls::default() });
    let of = |default: Option<&Tls>, source: MetricsSource| {
        Jobs::new(defaults()).with_tls(default.cloned()).tls(&source)
    };
    let silent = MetricsSource::default();
    let plain = MetricsSource { plain: true, ..MetricsSource::default() };
    let tls = MetricsSource { tls: Some(of_strategy.clone()), ..MetricsSource::default() };
    for (default, source, wanted) in [
        (None, &silent, None),
        (None, &tls, Some(&of_strategy)),
        (Some(&of_picker), &silent, Some(&of_picker)),
        (Some(&of_picker), &plain, None),
        (Some(&of_picker), &tls, Some(&of_strategy)),
    ] {
        assert_eq!(of(default, source.clone()).as_ref(), wanted, "{default:?} {source:?}");
    }
    let mut jobs = Jobs::new(defaults()).with_tls(Some(of_picker));
    jobs.install(Some(&plan(silent)));
    let place = current(&jobs).place.clone();
    assert!(place != Place::default() && place != Place::default().with(&plain, Wire::Broken), "{place:?}");
}

fn write(dir: &std::path::Path) {
    let made = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
    std::fs::write(dir.join("ca"), made.cert.pem()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn certificates_are_read_again_when_they_change() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Some(dir.path().join("ca").display().to_string());
    let tls = Some(Tls { verify: true, ca, client: None });
    let plan = plan(MetricsSource { tls, ..MetricsSource::default() });
    let mut jobs = Jobs::new(defaults());
    let follow = jobs.subscribe();
    let place = || follow.borrow().as_ref().unwrap().sources[0].place.clone();
    let after_a_while = async |jobs: &mut Jobs| {
        let looked = tokio::time::timeout(CERTIFICATES * 3 / 2, jobs.look_after_certificates()).await;
        assert!(looked.is_err());
    };

    // Not there yet.
    jobs.install(Some(&plan));
    let missing = Place::default().with(&plan.sources[0].source, Wire::Broken);
    assert_eq!(place(), missing);
    after_a_while(&mut jobs).await;
    assert_eq!(place(), missing);

    write(dir.path());
    after_a_while(&mut jobs).await;
    let first = place();
    assert_ne!(first, missing);
    after_a_while(&mut jobs).await;
    assert_eq!(place(), first);

    write(dir.path());
    after_a_while(&mut jobs).await;
    let second = place();
    assert!(second != first && second != missing);

    // What is no good leaves what works.
    std::fs::write(dir.path().join("ca"), "no PEM").unwrap();
    after_a_while(&mut jobs).await;
    assert_eq!(place(), second);
}

/// A plan of two sources of which one changes is another job for that one alone.
#[test]
fn sources_that_stay_equal_go_on_as_they_do() {
    let of = |kinds: &[SourceKind], port: Option<u16>| {
        let source = |kind: &SourceKind| {
            let port = port.filter(|_| *kind == SourceKind::Dcgm);
            SourcePlan { source: MetricsSource { port, ..MetricsSource::of(*kind) }, ..SourcePlan::default() }
        };
        Arc::new(ScrapePlan { sources: kinds.iter().map(source).collect(), ..ScrapePlan::default() })
    };
    let both = [SourceKind::Metrics, SourceKind::Dcgm];
    let mut jobs = Jobs::new(defaults());
    let sources = |jobs: &Jobs| jobs.subscribe().borrow().as_ref().unwrap().sources.clone();
    jobs.install(Some(&of(&both, Some(1))));
    let first = sources(&jobs);
    jobs.install(Some(&of(&both, Some(2))));
    let second = sources(&jobs);
    let same = |a: &[Arc<SourceJob>], b: &[Arc<SourceJob>]| {
        a.iter().zip(b).map(|(a, b)| Arc::ptr_eq(a, b)).collect::<Vec<_>>()
    };
    assert_eq!(same(&first, &second), [true, false]);
    jobs.install(Some(&of(&both[1..], Some(2))));
    assert_eq!(same(&second[1..], &sources(&jobs)), [true]);
}

/// The flags of the picker are about model servers: their port is not that of accelerators, nor their path that of models.
#[test]
fn flags_about_metrics_are_not_about_other_pages() {
    let place = Place::new(Some("/own".parse().unwrap()), Some(9000));
    let (own, node): (SocketAddr, IpAddr) = ("10.0.0.1:8000".parse().unwrap(), [10, 0, 1, 1].into());
    let pages = PageHosts {
        node: Some(node),
        pool: PoolPage::At("10.0.2.2:9090".parse().unwrap()),
        name: Some("pool.example".into()),
    };
    let at = |source: &MetricsSource, pages: &PageHosts| {
        let place = place.with(source, Wire::Plain);
        let address = place.address(own, pages).map(|at| at.to_string());
        (address, place.paths[0].as_str().to_owned(), place.name(pages), place.is_served_at(own, pages))
    };
    let of = |kind| at(&MetricsSource::of(kind), &pages);
    let told = |address: &str, path: &str, name: Option<&str>, own| {
        (Some(address.to_owned()), path.to_owned(), name.map(Arc::from), own)
    };
    assert_eq!(of(SourceKind::Metrics), told("10.0.0.1:9000", "/own", None, false));
    assert_eq!(of(SourceKind::Models), told("10.0.0.1:8000", "/v1/models", None, true));
    assert_eq!(of(SourceKind::Dcgm), told("10.0.0.1:9400", "/metrics", None, false));
    assert_eq!(of(SourceKind::Multicluster), told("10.0.2.2:9090", "/metrics", Some("pool.example"), false));
    let of_node = MetricsSource { at_node: true, ..MetricsSource::of(SourceKind::Dcgm) };
    assert_eq!(at(&of_node, &pages), told("10.0.1.1:9400", "/metrics", None, false));
    let unknown = PageHosts::default();
    assert_eq!(at(&of_node, &unknown), (None, "/metrics".to_owned(), None, false));
    let pool = MetricsSource::of(SourceKind::Multicluster);
    let lost = PageHosts { pool: PoolPage::Unknown, ..PageHosts::default() };
    assert_eq!(at(&pool, &lost).0, None);
    assert_eq!(at(&pool, &unknown), told("10.0.0.1:8000", "/metrics", None, true));
}
