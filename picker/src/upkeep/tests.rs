use std::sync::Mutex;
use std::time::Duration;

use picker_core::View;
use picker_core::config::Scope;
use picker_core::plugin::{BuildCx, BuildError, Origin, Plugin, Registration, Registry, Role, Roles, Task};
use picker_core::plugins::builtin;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::advance;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::view;

/// Notes its ticks.
struct Clock(Ticks);

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Ticks {
    seconds: u64,
}

/// The intervals of those that ticked, in that order.
static TICKED: Mutex<Vec<u64>> = Mutex::new(Vec::new());

impl Plugin for Clock {
    const TYPE: &'static str = "clock";
    const TASK: Task = Task::OwnRules;
    const ORIGIN: Origin = Origin::Waypost;
    const SUMMARY: &'static str = "Ticks.";
    const ROLES: &'static [Role] = &[Role::Upkeep];
    const SAMPLE: &'static str = "plugins: [{type: clock, parameters: {seconds: 1}}]";
    type Params = Ticks;

    fn build(params: Ticks, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { upkeep: Some(Arc::new(Self(params))), ..Roles::default() })
    }
}

impl Upkeep for Clock {
    fn every(&self) -> Duration {
        Duration::from_secs(self.0.seconds)
    }

    fn tick(&self, _: std::time::Instant, _: &View) {
        TICKED.lock().unwrap().push(self.0.seconds);
    }
}

fn clocks(seconds: &[u64]) -> Value {
    let clock = |s| json!({"type": "clock", "name": format!("c{s}"), "parameters": {"seconds": s}});
    json!({"plugins": seconds.iter().map(clock).collect::<Vec<_>>()})
}

/// Lets the task do what it can without time passing.
async fn settle() {
    for _ in 0..5 {
        tokio::task::yield_now().await;
    }
}

/// Lets so many seconds pass, and returns who ticked meanwhile.
async fn after(seconds: u64) -> Vec<u64> {
    settle().await;
    for _ in 0..seconds {
        advance(Duration::from_secs(1)).await;
        settle().await;
    }
    std::mem::take(&mut TICKED.lock().unwrap())
}

#[tokio::test(start_paused = true)]
async fn each_ticks_at_its_interval_as_long_as_its_strategy_serves() {
    let registry: Registry = builtin().clone().with(Registration::of::<Clock>());
    let hot = Arc::new(Hot::new(Box::leak(Box::new(registry))));
    let serving = watch::Sender::<Serving>::default();
    let task = run(serving.subscribe(), hot.clone(), view::empty());
    let _task = AbortOnDropHandle::new(tokio::spawn(task));
    assert_eq!(after(5).await, [0_u64; 0]);
    hot.offer(&clocks(&[2, 3]), Scope::Resource);
    serving.send_modify(|_| {});
    assert_eq!(after(1).await, [0_u64; 0]);
    assert_eq!(after(5).await, [2, 3, 2, 2, 3]);
    hot.offer(&clocks(&[4]), Scope::Resource);
    serving.send_modify(|_| {});
    assert_eq!(after(9).await, [4, 4]);
}
