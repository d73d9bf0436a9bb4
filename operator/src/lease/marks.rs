//! Marks on a Lease: the other operators that would work on the same strategies, and yield to its holder. Each
//! leaves its name, and says again and again that it is there still.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

/// The annotation with the marks: a JSON object from the name of an operator to when it was there last.
const YIELDING: &str = "waypost.dev/yielding";
/// How often an operator that yields says so.
pub(super) const EVERY: Duration = Duration::from_secs(20);
/// How long it counts as being there after that, by the holder's own clock.
const FRESH: Duration = Duration::from_secs(60);
/// The most marks of a Lease that are read, and the most bytes of them: whoever may write the Lease writes them.
const MOST: usize = 8;
const MOST_BYTES: usize = 4096;

/// The marks as the holder of a Lease sees them.
#[derive(Debug, Default)]
pub(super) struct Marks(Mutex<BTreeMap<String, Mark>>);

#[derive(Debug)]
struct Mark {
    said: String,
    since: Instant,
}

impl Marks {
    /// Notes the marks of a Lease that was read or written.
    pub fn note(&self, lease: &Lease, now: Instant) {
        let mut known = self.lock();
        let marks = of(lease);
        known.retain(|name, _| marks.contains_key(name));
        for (name, said) in marks {
            if known.get(&name).is_none_or(|mark| mark.said != said) {
                known.insert(name, Mark { said, since: now });
            }
        }
    }

    /// Names of the operators that are there, in order.
    pub fn fresh(&self, now: Instant) -> Vec<String> {
        let known = self.lock();
        let fresh = known.iter().filter(|(_, mark)| now.duration_since(mark.since) < FRESH);
        fresh.map(|(name, _)| name.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Mark>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of(lease: &Lease) -> BTreeMap<String, String> {
    let text = lease.metadata.annotations.as_ref().and_then(|all| all.get(YIELDING));
    let text = text.filter(|text| text.len() <= MOST_BYTES);
    let marks: BTreeMap<_, _> = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    marks.into_iter().take(MOST).collect()
}

fn set(lease: &mut Lease, marks: &BTreeMap<String, String>) {
    let annotations = lease.metadata.annotations.get_or_insert_default();
    match serde_json::to_string(marks) {
        Ok(text) if !marks.is_empty() => annotations.insert(YIELDING.to_owned(), text),
        _ => annotations.remove(YIELDING),
    };
}

/// The Lease with the mark of `operator`.
pub(super) fn marked(mut lease: Lease, operator: &str, now: Timestamp) -> Lease {
    let mut marks = of(&lease);
    marks.insert(operator.to_owned(), now.to_string());
    set(&mut lease, &marks);
    lease
}

/// Takes the marks of all but `fresh` off a Lease.
pub(super) fn sweep(lease: &mut Lease, fresh: &[String]) {
    let mut marks = of(lease);
    let before = marks.len();
    marks.retain(|name, _| fresh.contains(name));
    if marks.len() < before {
        set(lease, &marks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_yields_is_known_for_a_minute_after_it_said_so() {
        let marks = Marks::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let lease = marked(marked(Lease::default(), "b/waypost", at(0)), "c/waypost", at(0));
        marks.note(&lease, Instant::now());
        assert_eq!(marks.fresh(Instant::now()), ["b/waypost", "c/waypost"]);
        tokio::time::advance(Duration::from_secs(40)).await;
        let mut again = marked(lease, "b/waypost", at(40));
        marks.note(&again, Instant::now());
        tokio::time::advance(Duration::from_secs(20)).await;
        let fresh = marks.fresh(Instant::now());
        assert_eq!(fresh, ["b/waypost"]);
        sweep(&mut again, &fresh);
        assert_eq!(of(&again).into_keys().collect::<Vec<_>>(), ["b/waypost"]);
        sweep(&mut again, &[]);
        assert_eq!(again.metadata.annotations, Some([].into()));
    }

    /// Whoever may write the Lease can write anything there.
    #[test]
    fn many_marks_and_long_ones_are_not_read() {
        let lease = |marks: BTreeMap<String, String>| {
            let mut lease = Lease::default();
            set(&mut lease, &marks);
            lease
        };
        let many: BTreeMap<_, _> = (0..20).map(|n| (format!("{n:02}/waypost"), "now".to_owned())).collect();
        assert_eq!(of(&lease(many)).len(), MOST);
        assert_eq!(of(&lease([("x".repeat(MOST_BYTES), String::new())].into())), [].into());
        let mut odd = Lease::default();
        odd.metadata.annotations = Some([(YIELDING.to_owned(), "[1]".to_owned())].into());
        assert_eq!(of(&odd), [].into());
    }
}
