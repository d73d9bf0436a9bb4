//! The tasks that scrape endpoints and publish the view.

use std::sync::Arc;
use std::time::Duration;

use picker_core::Hot;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::tasks::Tasks;
use crate::activity::Activity;
use crate::args::ServeArgs;
use crate::metrics::Metrics;
use crate::scrape::job::{Defaults, Jobs};
use crate::scrape::pace::Limits;
use crate::scrape::place::Place;
use crate::scrape::poll::Poll;
use crate::scrape::reach::Reach;
use crate::source::Installer;
use crate::view::SharedView;
use crate::watch::Wanted;
use crate::watch::endpoint_set::Target;
use crate::watch::publish::{Progress, Publisher, Settings};

/// The shortest interval between scrapes of one server.
const FLOOR: Duration = Duration::from_millis(50);
/// Time after which figures that do not move are doubted.
const DOUBT_AFTER: Duration = Duration::from_secs(30);
/// The longest that a scrape may take.
const DEADLINE: Duration = Duration::from_secs(1);

/// What the tasks share with others.
pub(super) struct Shared<'a> {
    /// The view that they publish.
    pub view: &'a SharedView,
    /// The endpoints that there should be.
    pub wanted: watch::Sender<Wanted>,
    /// The endpoints, with what was read of them.
    pub targets: watch::Sender<Arc<[Target]>>,
    /// Whether requests flow.
    pub activity: &'a Activity,
    /// The number of replicas of the picker.
    pub replicas: watch::Receiver<u32>,
}

/// Starts the tasks, and returns their progress.
pub(super) fn start(
    args: &ServeArgs,
    installer: &Installer,
    hot: Arc<Hot>,
    metrics: &Metrics,
    shared: Shared<'_>,
    tasks: &mut Tasks,
) -> watch::Receiver<Progress> {
    let Shared { view, wanted, targets, activity, replicas } = shared;
    let limits = Limits {
        interval: args.refresh_metrics_interval.max(FLOOR),
        rest: args.metrics_rest_interval,
        share: args.metrics_max_server_share.get(),
    };
    let port = Some(args.model_server_metrics_port).filter(|port| *port > 0);
    let place = Place::new(args.model_server_metrics_path.clone(), port);
    let scrape = watch::Sender::new(false);
    let doubt_after = watch::Sender::new(DOUBT_AFTER);
    let progress = watch::Sender::default();
    let follow = progress.subscribe();
    let rung = Arc::new(Notify::new());

    let stale_after = args.metrics_staleness_threshold;
    let mut jobs = Jobs::new(Defaults { place, limits, stale_after }).with_tls(args.metrics_tls());
    let poll = Poll {
        jobs: jobs.subscribe(),
        resting: activity.resting(),
        replicas,
        deadline: DEADLINE,
        origin: Instant::now(),
        scraping: metrics.scraping.clone(),
        scraped: rung.clone(),
    };
    let reach = Reach { jobs: jobs.subscribe(), targets: targets.subscribe(), hot };
    tasks.spawn(async move {
        reach.run().await;
        "looking who listens"
    });
    let follow_targets = targets.subscribe();
    tasks.spawn(async move {
        poll.run(follow_targets).await;
        "scraping"
    });
    let publisher = Publisher {
        wanted: wanted.subscribe(),
        scrape: scrape.subscribe(),
        scraped: rung,
        doubt_after: doubt_after.subscribe(),
        resting: activity.resting(),
        view: view.clone(),
        targets,
        progress,
        scraping: metrics.scraping.clone(),
        settings: Settings { stale_after, tick: limits.interval },
    };
    tasks.spawn(async move {
        publisher.run().await;
        "publishing the view"
    });
    let mut serving = installer.serving();
    tasks.spawn(async move {
        loop {
            let plan = serving.borrow_and_update().scrape.clone();
            jobs.install(plan.as_ref());
            let doubt = plan.as_ref().and_then(|plan| plan.sources.iter().find_map(|s| s.source.doubt_after));
            doubt_after.send_replace(doubt.unwrap_or(DOUBT_AFTER));
            scrape.send_if_modified(|old| std::mem::replace(old, plan.is_some()) != plan.is_some());
            let changed = tokio::select! {
                changed = serving.changed() => changed,
                never = jobs.look_after_certificates() => match never {},
            };
            if changed.is_err() {
                return "following what the strategy needs";
            }
        }
    });
    let (activity, view) = (activity.clone(), view.clone());
    tasks.spawn(async move {
        let busy = || view.load().endpoints.iter().any(|endpoint| endpoint.live().in_flight() > 0);
        match activity.watch(busy).await {}
    });
    follow
}
