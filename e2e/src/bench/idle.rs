//! What servers use while nothing is asked of them: scraping, above all.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::arms::Running;
use crate::Progress;

/// Each server's CPU time in milliseconds for each second.
#[derive(Clone, Debug, Default)]
pub struct Idle(Vec<(&'static str, f64)>);

impl Idle {
    /// Looks for so many seconds.
    ///
    /// # Errors
    /// When a server has ended.
    pub async fn seen(running: &Running, seconds: u16, progress: &Progress) -> Result<Self> {
        if seconds == 0 {
            return Ok(Self::default());
        }
        let used = || running.in_turn(0).map(|server| server.usage().cpu()).collect::<Result<Vec<_>>>();
        let before = used()?;
        progress.say("looking at the servers at rest");
        tokio::time::sleep(Duration::from_secs(seconds.into())).await;
        let each = running.in_turn(0).zip(before).zip(used()?).map(|((server, before), after)| {
            (server.name(), (after - before).as_secs_f64() * 1e3 / f64::from(seconds))
        });
        Ok(Self(each.collect()))
    }

    /// Adds them to the rows of a report.
    pub fn add_to(&self, rows: &mut Value) {
        if let (Value::Array(rows), false) = (rows, self.0.is_empty()) {
            let servers: Map<_, _> = self
                .0
                .iter()
                .map(|(name, millis)| ((*name).to_owned(), json!({"cpuMillisPerSecond": millis})))
                .collect();
            rows.push(json!({"row": "at rest", "servers": servers}));
        }
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, millis) in &self.0 {
            writeln!(f, "  at rest, {name}: {millis:.1} ms of CPU a second")?;
        }
        Ok(())
    }
}
