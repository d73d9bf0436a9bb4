//! The record of a pool that the operator has bound, in one annotation on the pool itself, so that the former picker
//! can be given back whatever else is lost.

use crds::Pool;
use k8s_openapi::jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::names;

/// The annotation of a pool that holds the record.
pub(super) const ANNOTATION: &str = names::PREVIOUS_PICKER;

/// Flips within 24 hours, by whomever, after which a pool is left.
const MAX_FLIPS: usize = 4;

/// The record of a bound pool, the content of the annotation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Record {
    /// The strategy that wrote it.
    pub strategy: String,
    /// The reference that we applied, as the pool stores it.
    pub applied: Value,
    /// The reference that was there before; null where there was none.
    pub previous: Value,
    /// The field manager that held the previous reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    /// The flips of the last day: when, and by whom, another reference was put in the place of ours.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flips: Vec<Flip>,
    /// Set when the pool was left to another manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
}

/// The replacement of our reference by another manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Flip {
    pub manager: String,
    pub at: Timestamp,
}

/// The giving up of a pool's reference to another manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Left {
    /// The other manager.
    pub manager: String,
    /// Generation of the strategy that gave up; a newer one tries again.
    pub generation: i64,
}

impl Record {
    /// The record of a pool, if it carries one that can be read.
    pub fn read(pool: &Pool) -> Option<Self> {
        serde_json::from_str(pool.annotation(ANNOTATION)?).ok()
    }

    /// The record as the annotation's value.
    pub fn write(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Notes a flip, and tells whether it is one too many: the second of the same manager within 24 hours,
    /// or the fourth of any.
    pub fn flip(&mut self, manager: &str, now: Timestamp) -> bool {
        let day_ago = now.checked_sub(24.hours()).unwrap_or(Timestamp::MIN);
        self.flips.retain(|flip| flip.at > day_ago);
        let again =
            self.flips.iter().any(|flip| flip.manager == manager) || self.flips.len() + 1 >= MAX_FLIPS;
        let at = Timestamp::from_second(now.as_second()).unwrap_or(now);
        self.flips.push(Flip { manager: manager.to_owned(), at });
        let excess = self.flips.len().saturating_sub(MAX_FLIPS);
        self.flips.drain(..excess);
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flips_count_for_a_day_and_by_manager() {
        let at = |hours: i64| Timestamp::from_second(hours * 3600).unwrap();
        let mut record = Record::default();
        assert!(!record.flip("helm", at(0)));
        assert!(!record.flip("kubectl", at(1)));
        assert!(record.flip("helm", at(23)));
        assert!(!record.flip("kubectl", at(26)));
        assert_eq!(record.flips.len(), 2);
    }

    #[test]
    fn many_hands_are_one_too_many() {
        let mut record = Record::default();
        let flips: Vec<_> =
            ["a", "b", "c", "d"].iter().map(|m| record.flip(m, Timestamp::UNIX_EPOCH)).collect();
        assert_eq!(flips, [false, false, false, true]);
    }

    #[test]
    fn is_read_as_it_was_written() {
        let record = Record {
            strategy: "chat".to_owned(),
            applied: serde_json::json!({"name": "qwen-picker"}),
            left: Some(Left { manager: "helm".to_owned(), generation: 3 }),
            ..Record::default()
        };
        let mut pool = Pool::default();
        pool.metadata.annotations = Some([(ANNOTATION.to_owned(), record.write().unwrap())].into());
        assert_eq!(Record::read(&pool), Some(record));
        assert_eq!(pool.annotation(ANNOTATION).and_then(names::holder).as_deref(), Some("chat"));
        pool.metadata.annotations = Some([(ANNOTATION.to_owned(), "x".to_owned())].into());
        assert_eq!(Record::read(&pool), None);
    }
}
