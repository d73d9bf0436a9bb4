//! The page `/debug/decisions`: the last decisions that were kept.

use serde::Deserialize;
use serde_json::{Value, json};

use super::timestamp::timestamp;
use crate::decisions::{self, Decisions, Kept};

/// The most decisions of one request id that are shown: clients choose these.
const MOST_OF_ONE_ID: usize = 16;

/// What a reader asks for.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Filter {
    /// Only decisions about requests with this `x-request-id`.
    pub request_id: Option<String>,
    /// Only decisions of this pool.
    pub pool: Option<String>,
}

/// The page, the newest decision first.
pub(super) fn page(pool: Option<&str>, decisions: &Decisions) -> Value {
    let all: Vec<_> = decisions.kept().iter().map(|kept| decision(kept)).collect();
    json!({"pool": pool, "decisions": all})
}

/// The same of one request id.
pub(super) fn of_request(pool: Option<&str>, decisions: &Decisions, id: &str) -> Value {
    let kept = decisions.kept();
    let same = kept.iter().filter(|kept| kept.is_of(id)).take(MOST_OF_ONE_ID);
    let all: Vec<_> = same.map(|kept| decision(kept)).collect();
    json!({"pool": pool, "decisions": all})
}

/// A decision.
pub(super) fn decision(kept: &Kept) -> Value {
    decisions::page(kept, timestamp(kept.at).as_deref())
}
