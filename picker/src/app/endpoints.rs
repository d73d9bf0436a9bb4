//! The tasks that scrape endpoints and publish the view.

use std::sync::Arc;
use std::time::Duration;

use picker_core::Hot;
use tokio::sync::{Notify, watch};

use super::tasks::Tasks;
use crate::args::ServeArgs;
use crate::metrics::Metrics;
use crate::scrape::connection::Place;
use crate::scrape::job::{Defaults, Jobs};
use crate::scrape::poll::Poll;
use crate::scrape::reach::Reach;
use crate::source::Installer;
use crate::view::SharedView;
use crate::watch::Wanted;
use crate::watch::publish::{Progress, Publisher, Settings};

/// The shortest interval between scrapes of one server.
const FLOOR: Duration = Duration::from_millis(50);
/// The longest that a scrape may take.
const DEADLINE: Duration = Duration::from_secs(1);

/// Starts the tasks, and returns their progress.
pub(super) fn start(
    args: &ServeArgs,
    installer: &Installer,
    hot: Arc<Hot>,
    metrics: &Metrics,
    view: &SharedView,
    wanted: watch::Sender<Wanted>,
    tasks: &mut Tasks,
) -> watch::Receiver<Progress> {
    let interval = args.refresh_metrics_interval.max(FLOOR);
    let port = Some(args.model_server_metrics_port).filter(|port| *port > 0);
    let place = Place::new(args.model_server_metrics_path.clone(), port);
    let scrape = watch::Sender::new(false);
    let targets = watch::Sender::default();
    let progress = watch::Sender::default();
    let follow = progress.subscribe();
    let rung = Arc::new(Notify::new());

    let stale_after = args.metrics_staleness_threshold;
    let mut jobs = Jobs::new(Defaults { place, interval, stale_after });
    let poll = Poll {
        jobs: jobs.subscribe(),
        deadline: DEADLINE,
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
        view: view.clone(),
        targets,
        progress,
        scraping: metrics.scraping.clone(),
        settings: Settings { stale_after, tick: interval },
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
    follow
}
