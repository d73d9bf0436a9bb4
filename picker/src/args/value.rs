//! The values of flags, as Go programs write them.

use crds::PoolGroup;
use http::uri::PathAndQuery;

pub(super) use picker_core::duration::parse as duration;
use picker_core::scrape::ServerShare;
use picker_serve::StreamTasks;

/// A truth value in any of Go's spellings.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// The tasks that streams run in.
pub(super) fn stream_tasks(text: &str) -> Result<StreamTasks, String> {
    match text {
        "joined" => Ok(StreamTasks::Joined),
        "spawned" => Ok(StreamTasks::Spawned),
        _ => Err("must be joined or spawned".to_owned()),
    }
}

/// The share of a server's time.
pub(super) fn share(text: &str) -> Result<ServerShare, String> {
    let share = text.parse().ok().and_then(ServerShare::new);
    share.ok_or_else(|| "must be 0, or between 0.000001 and 1".to_owned())
}

/// The path of a page, `/metrics`.
pub(super) fn path(text: &str) -> Result<PathAndQuery, String> {
    let path = Some(text).filter(|text| text.starts_with('/')).and_then(|text| text.parse().ok());
    path.ok_or_else(|| "must be a path, and begin with /".to_owned())
}

/// The group of a pool.
pub(super) fn pool_group(text: &str) -> Result<PoolGroup, String> {
    PoolGroup::of(text)
        .ok_or_else(|| format!("must be {} or {}", PoolGroup::V1.group(), PoolGroup::V1Alpha2.group()))
}
