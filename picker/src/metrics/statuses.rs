//! Counts by the HTTP status of answers, with a bounded number of labels: model servers choose the statuses.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};

/// The statuses with a count of their own, in order. Others are counted with their class (`4xx`).
const KNOWN: [u16; 44] = [
    200, 201, 202, 203, 204, 206, 300, 301, 302, 303, 304, 307, 308, 400, 401, 402, 403, 404, 405, 406, 408,
    409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 424, 425, 428, 429, 431, 451, 499, 500, 501, 502,
    503, 504,
];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// The label of an answer whose status was not shown.
const NONE: &str = "none";
const ALL: usize = KNOWN.len() + CLASSES.len() + 1;

/// Counts by status.
#[derive(Debug)]
pub(super) struct Statuses([AtomicU64; ALL]);

impl Default for Statuses {
    fn default() -> Self {
        Self(array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Statuses {
    /// Counts an answer; `None` for one whose status was not shown.
    pub(super) fn count(&self, status: Option<u16>) {
        self.0[index(status)].fetch_add(1, Ordering::Relaxed);
    }

    /// All that were counted.
    pub(super) fn sum(&self) -> u64 {
        self.0.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Calls `each` with the label and the count of every status that was counted.
    pub(super) fn each<E>(&self, mut each: impl FnMut(&str, u64) -> Result<(), E>) -> Result<(), E> {
        for (at, count) in self.0.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                match KNOWN.get(at) {
                    Some(status) => each(&status.to_string(), count)?,
                    None => each(CLASSES.get(at - KNOWN.len()).unwrap_or(&NONE), count)?,
                }
            }
        }
        Ok(())
    }
}

fn index(status: Option<u16>) -> usize {
    let Some(status) = status else { return ALL - 1 };
    KNOWN.binary_search(&status).unwrap_or_else(|_| match usize::from(status) / 100 {
        class @ 1..=5 => KNOWN.len() + class - 1,
        _ => ALL - 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_label() {
        let statuses = Statuses::default();
        for status in [0, 100, 200, 200, 207, 404, 419, 500, 599, 600, 65535] {
            statuses.count(Some(status));
        }
        statuses.count(None);
        let mut seen = Vec::new();
        let each = statuses.each(|label, count| {
            seen.push((label.to_owned(), count));
            Ok::<_, ()>(())
        });
        assert_eq!(each, Ok(()));
        let labels =
            [("200", 2), ("404", 1), ("500", 1), ("1xx", 1), ("2xx", 1), ("4xx", 1), ("5xx", 1), ("none", 4)];
        assert_eq!(seen, labels.map(|(label, count)| (label.to_owned(), count)));
        assert_eq!(statuses.sum(), 12);
        assert!(KNOWN.is_sorted());
    }
}
