//! Values as Go programs write them.

use std::time::Duration;

use crds::PoolGroup;
use http::uri::PathAndQuery;
use picker_serve::StreamTasks;

/// A duration like `50ms`, `1m30s` or `0`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration; write one like 50ms, 2s or 1m30s");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        seconds += number
            * match &rest[..unit] {
                "ns" => 1e-9,
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return Err(wrong()),
            };
        rest = &rest[unit..];
    }
    if text.is_empty() { Err(wrong()) } else { Duration::try_from_secs_f64(seconds).map_err(|_| wrong()) }
}

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
