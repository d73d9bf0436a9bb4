//! The demo's strategies: one for each phase, of which the second and third are edits under load.

use serde_json::{Value, json};

use crate::test_env::Strategy;

/// The name of the pool, the strategy and the model servers.
pub const NAME: &str = "chat";
/// The number of pickers, which must all take up each edit.
pub const PICKERS: usize = 2;

/// What each phase shows.
pub const TITLES: [&str; 3] = ["random, stable only", "the canary joins", "warm prefixes first"];

/// The strategy of phase `phase`, from 0 on.
pub fn strategy(phase: usize) -> Strategy {
    Strategy::new(NAME).pool(NAME).replicas(PICKERS).routing(routing(phase))
}

fn routing(phase: usize) -> Value {
    let stable = json!({
        "type": "label-selector-filter",
        "name": "stable-only",
        "parameters": {"matchLabels": {"track": "stable"}},
    });
    let random = json!({"type": "random-picker"});
    let profile = |plugins: Value| json!([{"name": "default", "plugins": plugins}]);
    match phase {
        0 => json!({
            "plugins": [stable, random],
            "schedulingProfiles": profile(json!([{"pluginRef": "stable-only"}, {"pluginRef": "random-picker"}])),
        }),
        1 => json!({
            "plugins": [random],
            "schedulingProfiles": profile(json!([{"pluginRef": "random-picker"}])),
        }),
        _ => json!({
            "plugins": [{"type": "prefix-cache-scorer"}, {"type": "queue-scorer"}],
            "schedulingProfiles": profile(json!([
                {"pluginRef": "prefix-cache-scorer", "weight": 3},
                {"pluginRef": "queue-scorer", "weight": 1},
            ])),
        }),
    }
}
