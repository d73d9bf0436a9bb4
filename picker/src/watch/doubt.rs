//! The doubt about figures that do not move: a gauge that stands still at a high value would keep requests away from its
//! server for ever, and with them whatever could set it right.
//!
//! The figures of an endpoint are doubted when they say that it has work, none of it is ours, and they have not moved for a
//! while in which those of another endpoint did. They count as unknown then, so that a request may try the endpoint; with the
//! first one they count again, until the same time has passed once more.

use std::time::{Duration, Instant};

use picker_core::endpoint::Endpoint;
use picker_core::view::Signals;
use rustc_hash::FxHashMap;

/// What is known of the movements of all endpoints, by key.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    rows: FxHashMap<u64, Row>,
    /// The two endpoints that moved last, and when.
    movers: [Option<(u64, Instant)>; 2],
}

#[derive(Debug)]
struct Row {
    figures: [Option<u32>; 3],
    /// When they last moved, or had reason to.
    since: Instant,
    doubted: bool,
    /// Whether it was looked at since the last sweep.
    fresh: bool,
}

impl Doubts {
    /// Looks at the `signals` of an endpoint that were just read, and takes out of them what is doubted when it stood still
    /// for longer than `after`; zero is never.
    pub fn look(&mut self, endpoint: &Endpoint, signals: &mut Signals, now: Instant, after: Duration) {
        if after.is_zero() {
            return;
        }
        let figures =
            [signals.waiting, signals.running, signals.kv_usage].map(|figure| figure.map(f32::to_bits));
        let new = || Row { figures, since: now, doubted: false, fresh: true };
        let row = self.rows.entry(endpoint.key).or_insert_with(new);
        row.fresh = true;
        let moved = row.figures != figures;
        if moved {
            row.figures = figures;
            let [last, _] = self.movers;
            if last.is_some_and(|(key, _)| key != endpoint.key) {
                self.movers[1] = last;
            }
            self.movers[0] = Some((endpoint.key, now));
        }
        let busy = signals.waiting.is_some_and(|n| n > 0.0) || signals.running.is_some_and(|n| n > 0.0);
        if moved || !busy || endpoint.live().in_flight() > 0 {
            (row.since, row.doubted) = (now, false);
            return;
        }
        let others = self.movers.iter().flatten().any(|(key, at)| *key != endpoint.key && *at > row.since);
        let doubted = others && now.saturating_duration_since(row.since) >= after;
        if doubted && !std::mem::replace(&mut row.doubted, true) {
            tracing::info!(
                endpoint = endpoint.name,
                ?after,
                "its metrics have not moved, though nothing of ours is there: they count as unknown until a request was there"
            );
        }
        if doubted {
            (signals.waiting, signals.running, signals.kv_usage) = (None, None, None);
        }
    }

    /// Whether the figures of the endpoint with this key are doubted.
    pub fn doubts(&self, key: u64) -> bool {
        self.rows.get(&key).is_some_and(|row| row.doubted)
    }

    /// Forgets the endpoints that were not looked at since the last time.
    pub fn sweep(&mut self) {
        self.rows.retain(|_, row| std::mem::take(&mut row.fresh));
    }
}

#[cfg(test)]
mod tests;
