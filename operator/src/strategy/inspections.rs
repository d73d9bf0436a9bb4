//! The pods whose Events were asked for: when, and what was found.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::pod_warning::PodWarning;

/// After this time in one state a pod is asked about, and then whenever the time has doubled.
const FIRST: Duration = Duration::from_secs(2);
/// The longest time between two questions about one pod.
const LONGEST: Duration = Duration::from_secs(60);
/// What nobody wanted to know of for so long is forgotten.
const FORGET: Duration = Duration::from_secs(600);

/// What is known of the Events of pods.
#[derive(Debug, Default)]
pub(super) struct Inspections(Mutex<HashMap<String, Inspection>>);

#[derive(Debug)]
struct Inspection {
    next: Instant,
    pause: Duration,
    used: Instant,
    found: Option<Option<PodWarning>>,
}

impl Inspections {
    /// Whether it is time to ask about the pod and state of `key`, which has lasted for `age`. One that has lasted for
    /// long is asked about at its first mention: a process that was just started finds out what the last one knew
    /// before it writes a status.
    pub fn is_time(&self, key: &str, age: Duration, now: Instant) -> bool {
        let mut all = self.all();
        all.retain(|_, inspection| now.duration_since(inspection.used) < FORGET);
        let new = || Inspection {
            next: now + FIRST.saturating_sub(age),
            pause: age.clamp(FIRST, LONGEST),
            used: now,
            found: None,
        };
        let inspection = all.entry(key.to_owned()).or_insert_with(new);
        inspection.used = now;
        if now < inspection.next {
            return false;
        }
        inspection.next = now + inspection.pause;
        inspection.pause = (inspection.pause * 2).min(LONGEST);
        true
    }

    /// Notes the answer.
    pub fn found(&self, key: &str, warning: Option<PodWarning>) {
        if let Some(inspection) = self.all().get_mut(key) {
            inspection.found = Some(warning);
        }
    }

    /// The answer, if there was one, and the time until the next question.
    pub fn known(&self, key: &str, now: Instant) -> (Option<Option<PodWarning>>, Duration) {
        match self.all().get(key) {
            Some(known) => (known.found.clone(), known.next.saturating_duration_since(now)),
            None => (None, FIRST),
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Inspection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_asked_about_soon_and_then_ever_more_seldom() {
        let (inspections, start) = (Inspections::default(), Instant::now());
        let asked = (0..200)
            .filter(|second| inspections.is_time("a", Duration::ZERO, start + Duration::from_secs(*second)));
        assert_eq!(asked.collect::<Vec<_>>(), [2, 4, 8, 16, 32, 64, 124, 184]);
        assert!(!inspections.is_time("b", Duration::ZERO, start));
    }

    #[test]
    fn a_state_that_has_lasted_is_asked_about_at_once_and_then_as_if_it_had_been_known() {
        let (inspections, start) = (Inspections::default(), Instant::now());
        let second = Duration::from_secs;
        let asked = |key: &str, age: Duration| -> Vec<u64> {
            (0..100)
                .filter(|after| inspections.is_time(key, age + second(*after), start + second(*after)))
                .collect()
        };
        assert_eq!(asked("young", second(1)), [1, 3, 7, 15, 31, 63]);
        assert_eq!(asked("ten", second(10)), [0, 10, 30, 70]);
        assert_eq!(asked("old", second(3600)), [0, 60]);
    }

    #[test]
    fn an_answer_is_known_until_the_next() {
        let (inspections, start) = (Inspections::default(), Instant::now());
        inspections.is_time("a", Duration::ZERO, start);
        assert_eq!(inspections.known("a", start), (None, FIRST));
        assert!(inspections.is_time("a", FIRST, start + FIRST));
        inspections.found("a", None);
        assert_eq!(inspections.known("a", start + FIRST), (Some(None), FIRST));
        // Somebody asks for another pod much later.
        inspections.is_time("b", Duration::ZERO, start + FORGET * 2);
        assert_eq!(inspections.known("a", start + FORGET * 2), (None, FIRST));
    }
}
