//! The work at intervals that the plugins of the serving strategy ask for ([`picker_core::role::Upkeep`]).

use std::sync::Arc;

use picker_core::Hot;
use picker_core::role::Upkeep;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::source::Serving;
use crate::view::SharedView;

#[cfg(test)]
mod tests;

/// Does the upkeep of the strategy in `hot`, of another one as soon as `serving` says that it changed. Ends when the
/// sender of `serving` is gone.
pub async fn run(mut serving: watch::Receiver<Serving>, hot: Arc<Hot>, view: SharedView) {
    loop {
        serving.borrow_and_update();
        if hot.current().is_some_and(|strategy| !strategy.health.enabled) {
            // Nobody would say any more that they are well again.
            view.load().endpoints.iter().for_each(|endpoint| endpoint.health().forget());
        }
        let now = Instant::now();
        let mut due: Vec<(Instant, Arc<dyn Upkeep>)> = hot.current().map_or_else(Vec::new, |strategy| {
            let upkeeps = strategy.upkeeps().iter();
            upkeeps.map(|named| (now + named.role.every(), named.role.clone())).collect()
        });
        loop {
            let next = due.iter().map(|(at, _)| *at).min();
            let timer = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = serving.changed() => if changed.is_ok() { break } else { return },
                () = timer => {}
            }
            let now = Instant::now();
            for (at, upkeep) in due.iter_mut().filter(|(at, _)| *at <= now) {
                upkeep.tick(now.into_std(), &view.load());
                // One that is behind does not catch up.
                *at = now + upkeep.every();
            }
        }
    }
}
