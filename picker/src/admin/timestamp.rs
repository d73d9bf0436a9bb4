//! The times on debug pages.

use std::time::SystemTime;

/// `time` in the form of RFC 3339; `None` when it is beyond that.
pub(super) fn timestamp(time: SystemTime) -> Option<String> {
    jiff::Timestamp::try_from(time).ok().map(|time| time.to_string())
}
