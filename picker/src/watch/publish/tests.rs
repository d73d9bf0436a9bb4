use picker_core::endpoint::{EndpointId, EndpointSpec};
use picker_core::scrape::SourceId;
use picker_core::view::Signals;
use tokio::time::advance;

use super::*;
use crate::view;

struct Stage {
    wanted: watch::Sender<Wanted>,
    scrape: watch::Sender<bool>,
    scraped: Arc<Notify>,
    targets: watch::Receiver<Arc<[Target]>>,
    progress: watch::Receiver<Progress>,
    view: SharedView,
}

/// A publisher at work; its task ends with the test's runtime.
fn stage() -> (Stage, tokio_util::task::AbortOnDropHandle<()>) {
    let wanted = watch::Sender::default();
    let scrape = watch::Sender::new(true);
    let (targets, progress) = (watch::Sender::default(), watch::Sender::default());
    let scraped = Arc::new(Notify::new());
    let view = view::empty();
    let stage = Stage {
        targets: targets.subscribe(),
        progress: progress.subscribe(),
        wanted: wanted.clone(),
        scrape: scrape.clone(),
        scraped: scraped.clone(),
        view: view.clone(),
    };
    let publisher = Publisher {
        wanted: wanted.subscribe(),
        scrape: scrape.subscribe(),
        scraped,
        doubt_after: watch::channel(Duration::from_secs(30)).1,
        resting: watch::channel(false).1,
        view,
        targets,
        progress,
        scraping: Scraping::default(),
        settings: Settings { stale_after: Duration::from_secs(2), tick: Duration::from_millis(50) },
    };
    (stage, tokio_util::task::AbortOnDropHandle::new(tokio::spawn(publisher.run())))
}

fn spec(pod: &str) -> EndpointSpec {
    EndpointSpec {
        id: EndpointId { pod_uid: pod.into(), port: 8000, rank: 0 },
        pod: pod.to_owned(),
        namespace: "default".to_owned(),
        address: "10.0.0.1:8000".parse().unwrap(),
        labels: Default::default(),
    }
}

/// Lets the publisher do what it can do without the clock moving.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn endpoints_are_published_at_once() {
    let (mut stage, _task) = stage();
    settle().await;
    assert_eq!(*stage.progress.borrow_and_update(), Progress::default());
    stage.wanted.send_replace(Some([spec("a"), spec("b")].map(Into::into).into()));
    settle().await;
    let names: Vec<_> = stage.view.load().endpoints.iter().map(|e| e.name.clone()).collect();
    assert_eq!(names, ["a-rank-0", "b-rank-0"]);
    assert_eq!(*stage.progress.borrow(), Progress { listed: true, endpoints: 2, attempted: 0 });
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_is_a_list() {
    let (stage, _task) = stage();
    stage.wanted.send_replace(Some(Arc::default()));
    settle().await;
    assert_eq!(*stage.progress.borrow(), Progress { listed: true, endpoints: 0, attempted: 0 });
}

#[tokio::test(start_paused = true)]
async fn readings_are_published_soon_and_go_stale() {
    let (mut stage, _task) = stage();
    stage.wanted.send_replace(Some([spec("a")].map(Into::into).into()));
    settle().await;
    let target = stage.targets.borrow_and_update()[0].clone();
    let waiting = |stage: &Stage| stage.view.load().column(picker_core::column::Column::WAITING)[0];
    assert!(waiting(&stage).is_nan());

    let signals = Signals { waiting: Some(4.0), ..Signals::default() };
    let page = crate::scrape::outcome::Page { signals, cut: false };
    target.readout.record(SourceId::default(), Ok(page), Instant::now().into_std(), Duration::ZERO);
    stage.scraped.notify_one();
    settle().await;
    advance(Duration::from_millis(10)).await;
    settle().await;
    assert_eq!(waiting(&stage), 4.0);
    assert_eq!(stage.progress.borrow().attempted, 1);

    // Without another scrape, the number is dropped soon after two seconds, and not before.
    for _ in 0..40 {
        assert_eq!(waiting(&stage), 4.0);
        advance(Duration::from_millis(50)).await;
        settle().await;
    }
    advance(Duration::from_millis(50)).await;
    settle().await;
    assert!(waiting(&stage).is_nan());
}

#[tokio::test(start_paused = true)]
async fn without_scraping_nothing_is_done_at_rest() {
    let (stage, _task) = stage();
    stage.scrape.send_replace(false);
    stage.wanted.send_replace(Some([spec("a")].map(Into::into).into()));
    settle().await;
    let before = stage.view.load_full();
    advance(Duration::from_secs(60)).await;
    settle().await;
    assert!(Arc::ptr_eq(&before, &stage.view.load_full()));
}

#[tokio::test(start_paused = true)]
async fn views_of_the_same_endpoints_share_their_list() {
    let (stage, _task) = stage();
    let endpoints = |stage: &Stage| stage.view.load().endpoints.clone();
    stage.wanted.send_replace(Some([spec("a")].map(Into::into).into()));
    settle().await;
    let (first, built) = (endpoints(&stage), stage.view.load().built_at);
    advance(Duration::from_millis(60)).await;
    settle().await;
    assert_ne!(stage.view.load().built_at, built);
    assert!(Arc::ptr_eq(&endpoints(&stage), &first));
    stage.wanted.send_replace(Some([spec("a"), spec("b")].map(Into::into).into()));
    settle().await;
    assert_eq!((endpoints(&stage).len(), first.len()), (2, 1));
}
