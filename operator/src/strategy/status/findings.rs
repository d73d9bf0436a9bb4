//! Findings about pools: what keeps one from being bound or served, and all of them summed up in one message.

use std::collections::BTreeMap;

use super::conditions::{Verdict, join};

/// The most pools that are named for one finding.
const MOST_NAMED: usize = 3;
/// Reasons of what only takes its time.
pub(super) const TAKES_TIME: [&str; 2] = ["Pending", "Progressing"];

/// What keeps a pool from being as it should be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    /// Its reason, and its message where the pool is the only one.
    pub verdict: Verdict,
    /// The message where several pools are named before it.
    pub shared: String,
}

impl Finding {
    /// A finding whose message fits one pool and several.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        let verdict = Verdict::bad(reason, message);
        Self { shared: verdict.message.clone(), verdict }
    }

    /// The same with another message for several pools.
    pub fn shared(self, message: impl Into<String>) -> Self {
        Self { shared: message.into(), ..self }
    }

    /// The same, about which a person has to do something if `stalls`.
    pub fn stalling(mut self, stalls: bool) -> Self {
        self.verdict.stalls |= stalls;
        self
    }

    /// The same as the reason for which something else waits.
    pub fn as_pending(&self) -> Self {
        let Self { verdict, shared } = self;
        let pending = Verdict { reason: "Pending", stalls: false, ..verdict.clone() };
        Self { verdict: pending, shared: shared.clone() }
    }

    /// What somebody has to mend goes first, then what is known to be wrong, then what takes its time.
    fn rank(&self) -> u8 {
        match self.verdict.stalls {
            true => 0,
            false if TAKES_TIME.contains(&self.verdict.reason) => 2,
            false => 1,
        }
    }
}

/// The findings about pools, each with the name of its pool, as one verdict about `all` pools: how many there are, and the
/// first ones. Pools with the same finding are named together. `None` without any.
pub(super) fn summary(findings: &[(&str, &Finding)], all: usize) -> Option<Verdict> {
    let ((_, first), stalls) =
        (findings.first()?, findings.iter().any(|(_, finding)| finding.verdict.stalls));
    if all == 1 {
        return Some(first.verdict.clone());
    }
    let mut groups = BTreeMap::<_, Vec<&str>>::new();
    for (pool, finding) in findings {
        groups.entry((finding.rank(), finding.verdict.reason, &finding.shared)).or_default().push(*pool);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|((rank, ..), pools)| (*rank, std::cmp::Reverse(pools.len())));
    let reason = groups.first().map_or("Pending", |((_, reason, _), _)| reason);
    let texts: Vec<_> = groups.iter().map(|((.., text), pools)| (named(pools), (*text).clone())).collect();
    let lead = format!("{} of {all} pools: ", findings.len());
    Some(Verdict { stalls, ..Verdict::bad(reason, join(&lead, &texts)) })
}

/// The first of `pools`, and how many others there are.
pub(super) fn named(pools: &[&str]) -> String {
    first(pools, MOST_NAMED, ", ")
}

/// The first of `texts`, at most so many, and how many others there are.
pub(super) fn first<T: AsRef<str>>(texts: &[T], most: usize, between: &str) -> String {
    let first = texts.iter().take(most).map(AsRef::as_ref).collect::<Vec<_>>().join(between);
    match texts.len().saturating_sub(most) {
        0 => first,
        others => format!("{first} and {others} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pool_needs_no_count() {
        let finding = Finding::new("Progressing", "Deployment a-picker is rolling out").shared("rolling out");
        assert_eq!(summary(&[], 1), None);
        assert_eq!(summary(&[("a", &finding)], 1), Some(finding.verdict.clone()));
        let verdict = summary(&[("a", &finding)], 2).unwrap();
        assert_eq!(
            (verdict.reason, verdict.message.as_str()),
            ("Progressing", "1 of 2 pools: a: rolling out")
        );
    }

    #[test]
    fn pools_are_counted_and_equal_findings_are_told_once() {
        let image = Finding::new("ImagePullBackOff", "image x can't be pulled; correct it");
        let taken = Finding::new("NameTaken", "Service p9-picker is not this strategy's");
        let waits = Finding::new("Pending", "pool p0 is bound later").shared("bound later");
        let names: Vec<String> = (1..6).map(|n| format!("p{n}")).collect();
        let mut findings: Vec<_> = [("p0", &waits), ("p9", &taken)].into();
        findings.extend(names.iter().map(|name| (name.as_str(), &image)));
        let verdict = summary(&findings, 50).unwrap();
        let message = "7 of 50 pools: p9: Service p9-picker is not this strategy's; p1, p2, p3 and 2 more: image x can't be \
                       pulled; correct it; p0: bound later";
        assert_eq!((verdict.reason, verdict.stalls, verdict.message.as_str()), ("NameTaken", true, message));
        let verdict = summary(&findings[2..], 50).unwrap();
        assert_eq!((verdict.reason, verdict.stalls), ("ImagePullBackOff", false));
    }
}
