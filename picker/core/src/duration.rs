//! Durations as Go programs write them.

use std::time::Duration;

/// A duration like `50ms`, `1m30s` or `0`.
///
/// # Errors
/// When `text` is none: what to write.
pub fn parse(text: &str) -> Result<Duration, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_what_is_none_is_refused() {
        let table = [("0", 0), ("50ms", 50), ("1.5s", 1500), ("1m30s", 90_000), ("1h", 3_600_000)];
        for (text, millis) in table {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1 s", "1d", "1e3s", "9999999999999999999999h"] {
            let message = format!("{text:?} is no duration; write one like 50ms, 2s or 1m30s");
            assert_eq!(parse(text), Err(message));
        }
    }
}
