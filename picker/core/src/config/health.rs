//! The section `health` of a routing.

use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConfigError, ErrorKind};
use crate::duration;
use crate::health::Settings;

/// When endpoints that fail are ejected, that is, get no requests for a while.
///
/// An endpoint fails when a scrape of its metrics is refused, when a gateway finds no connection to it or loses it before
/// the response begins, and when it answers a request at once with an error of the server: 500, 502, 503, and other 5xx
/// but 501, 504 and 505. Statuses 4xx, a 503 with `retry-after`, slow errors, and requests that clients give up are not its
/// fault; nor are errors between requests that it does well, which are borne for a while. After its time
/// one request at a time is a trial: it readmits the endpoint, or ejects it for longer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthSpec {
    /// Whether endpoints are ejected at all. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// How long the first ejection takes, 100ms to 10m; up to a fifth is added at random. Default: 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub base_ejection_time: Option<String>,
    /// How long an ejection takes at most, `baseEjectionTime` to 1h. Default: 30s, or `baseEjectionTime` if that is
    /// longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub max_ejection_time: Option<String>,
    /// How many times as long as the last one an ejection takes after a trial that failed, 1 to 10. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 1, max = 10))]
    pub ejection_multiplier: Option<u32>,
    /// The largest share of endpoints that may be ejected, in percent, 0 to 100: of the endpoints that the label filters
    /// of a profile leave. When more of them fail, requests are routed as if none did. Default: 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 0, max = 100))]
    pub max_ejection_percent: Option<u32>,
    /// An error of the server counts when it comes within this time of the decision, 10ms to 10m. Default: 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub fast_failure: Option<String>,
}

const BASE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);
const MAX: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
const FAST: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(600);

impl HealthSpec {
    /// What it says, with the defaults for the rest.
    pub(super) fn settings(&self, errors: &mut Vec<ConfigError>) -> Settings {
        let mut settings = Settings::default();
        let mut wrong = |field: &str, message: &str| {
            errors.push(ConfigError::new(format!("health.{field}"), ErrorKind::Invalid, message));
        };
        let mut time = |field, text: &Option<String>, range: RangeInclusive<Duration>, message| {
            let time = duration::parse(text.as_deref()?).ok()?;
            if range.contains(&time) {
                return Some(time);
            }
            wrong(field, message);
            None
        };
        let base = time("baseEjectionTime", &self.base_ejection_time, BASE, "must be 100ms to 10m");
        let max = time("maxEjectionTime", &self.max_ejection_time, MAX, "must be 100ms to 1h");
        let fast = time("fastFailure", &self.fast_failure, FAST, "must be 10ms to 10m");
        settings.enabled = self.enabled.unwrap_or(true);
        settings.base_ejection_time = base.unwrap_or(settings.base_ejection_time);
        settings.max_ejection_time = match max {
            Some(max) if max < settings.base_ejection_time => {
                wrong("maxEjectionTime", "must not be shorter than baseEjectionTime");
                settings.base_ejection_time
            }
            Some(max) => max,
            None => settings.max_ejection_time.max(settings.base_ejection_time),
        };
        settings.fast_failure = fast.unwrap_or(settings.fast_failure);
        if let Some(multiplier) = self.ejection_multiplier {
            if !(1..=10).contains(&multiplier) {
                wrong("ejectionMultiplier", "must be 1 to 10");
            }
            settings.ejection_multiplier = multiplier;
        }
        if let Some(percent) = self.max_ejection_percent {
            match u8::try_from(percent) {
                Ok(percent @ 0..=100) => settings.max_ejection_percent = percent,
                _ => wrong("maxEjectionPercent", "must be 0 to 100"),
            }
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::compile::compile;
    use crate::config::Scope;
    use crate::store::StateStore;

    /// What a routing with this section compiles to, or what is wrong with it.
    fn compiled(health: Value) -> Result<Settings, BTreeMap<String, String>> {
        let routing = json!({"plugins": [{"type": "queue-scorer"}], "health": health});
        match compile(&routing, Scope::Resource, &StateStore::default()) {
            Ok(compiled) => {
                let strategy = compiled.strategy;
                assert_eq!(strategy.scrape.as_ref().unwrap().health, strategy.health);
                Ok(strategy.health)
            }
            Err(errors) => Err(errors.0.into_iter().map(|e| (e.path, e.message)).collect()),
        }
    }

    #[test]
    fn a_section_that_says_nothing_is_the_default() {
        assert_eq!(compiled(json!(null)), Ok(Settings::default()));
        assert_eq!(compiled(json!({})), Ok(Settings::default()));
        assert_eq!(
            compiled(json!({"maxEjectionTime": null, "enabled": null, "maxEjectionPercent": null})),
            Ok(Settings::default())
        );
    }

    #[test]
    fn every_field_counts() {
        let all = json!({
            "enabled": false, "baseEjectionTime": "200ms", "maxEjectionTime": "1m", "ejectionMultiplier": 2,
            "maxEjectionPercent": 100.0, "fastFailure": "1.5s",
        });
        let wanted = Settings {
            enabled: false,
            base_ejection_time: Duration::from_millis(200),
            max_ejection_time: Duration::from_secs(60),
            ejection_multiplier: 2,
            max_ejection_percent: 100,
            fast_failure: Duration::from_millis(1500),
        };
        assert_eq!(compiled(all), Ok(wanted));
        let long = compiled(json!({"baseEjectionTime": "1m"})).unwrap();
        assert_eq!(long.max_ejection_time, Duration::from_secs(60));
    }

    #[test]
    fn what_is_wrong_is_told_by_its_field() {
        let wrong = |health| compiled(health).unwrap_err();
        let errors = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|&(path, message)| (path.to_owned(), message.to_owned())).collect()
        };
        let given: BTreeMap<_, _> = wrong(json!({
            "enabled": "yes", "baseEjectionTime": "1", "maxEjectionTime": "2h", "ejectionMultiplier": 11,
            "maxEjectionPercent": 101, "fastFailure": 5, "fast": 1,
        }));
        let wanted = errors(&[
            ("health.baseEjectionTime", "\"1\" is no duration; write one like 50ms, 2s or 1m30s"),
            ("health.ejectionMultiplier", "must be 1 to 10"),
            ("health.enabled", "must be true or false, is \"yes\""),
            (
                "health.fast",
                "unknown field; the nearest is \"fastFailure\"; known here: enabled, baseEjectionTime, maxEjectionTime, ejectionMultiplier, \
                 maxEjectionPercent, fastFailure",
            ),
            ("health.fastFailure", "must be a string, is 5"),
            ("health.maxEjectionPercent", "must be 0 to 100"),
            ("health.maxEjectionTime", "must be 100ms to 1h"),
        ]);
        assert_eq!(given, wanted);
        assert_eq!(
            wrong(json!({"baseEjectionTime": "5s", "maxEjectionTime": "1s"})),
            errors(&[("health.maxEjectionTime", "must not be shorter than baseEjectionTime")])
        );
        assert_eq!(
            wrong(json!({"ejectionMultiplier": 0.5, "maxEjectionPercent": -1, "baseEjectionTime": "1ms"})),
            errors(&[
                ("health.baseEjectionTime", "must be 100ms to 10m"),
                ("health.ejectionMultiplier", "must be a whole number from 0, is 0.5"),
                ("health.maxEjectionPercent", "must be a whole number from 0, is -1"),
            ])
        );
        assert_eq!(wrong(json!([])), errors(&[("health", "must be a mapping, is a list")]));
    }
}
