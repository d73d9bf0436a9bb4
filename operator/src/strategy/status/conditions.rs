//! The conditions of a status, made from the verdicts on its aspects.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// Longest message.
const MAX_MESSAGE: usize = 512;

/// How one aspect of a strategy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub holds: bool,
    pub reason: &'static str,
    pub message: String,
    /// Whether a person has to do something about it.
    pub stalls: bool,
}

impl Verdict {
    pub fn good(reason: &'static str, message: impl Into<String>) -> Self {
        Self { holds: true, reason, message: short(&message.into()), stalls: false }
    }

    pub fn bad(reason: &'static str, message: impl Into<String>) -> Self {
        let stalls = NEEDS_A_HAND.contains(&reason);
        Self { holds: false, reason, message: short(&message.into()), stalls }
    }
}

/// All aspects.
#[derive(Clone, Debug)]
pub(super) struct Verdicts {
    pub accepted: Verdict,
    /// What is wrong with pools, whatever it is: their deepest causes.
    pub pools: Option<Verdict>,
    pub pools_bound: Verdict,
    pub has_endpoints: Verdict,
    pub available: Verdict,
    pub programmed: Verdict,
    pub contested: Option<Verdict>,
    pub paused: Option<Verdict>,
    /// Other operators are set to work on the strategy too.
    pub overlapping: Option<Verdict>,
    /// What keeps it from being ready though all aspects hold.
    pub unfinished: Option<Verdict>,
    /// Message of Ready when all holds.
    pub summary: String,
}

/// Reasons for which a person always has to do something.
const NEEDS_A_HAND: [&str; 9] = [
    "InvalidRouting",
    "UnknownPlugin",
    "InvalidPicker",
    "Conflict",
    "FieldManagedElsewhere",
    "WrongPort",
    "NameTaken",
    "Refused",
    "ReplicaError",
];

impl Verdicts {
    /// The conditions in their fixed order, with the times of `old` where nothing turned. Ready, Stalled and
    /// Reconciling come first, for readers that take the first that says something.
    pub fn conditions(&self, old: &[Condition], generation: i64, now: Timestamp) -> Vec<Condition> {
        let parts = [&self.accepted, &self.pools_bound, &self.available, &self.programmed];
        let all = [&self.accepted].into_iter().chain(&self.pools).chain(parts).chain(&self.unfinished);
        let ready = match all.into_iter().find(|part| !part.holds) {
            Some(part) => part.clone(),
            None => Verdict::good("Ready", self.summary.clone()),
        };
        // What Ready says, where that is what a person has to do something about.
        let hand = [&ready].into_iter().chain(parts).find(|part| !part.holds && part.stalls);
        let stalled = hand.map(|part| Verdict { holds: true, ..part.clone() });
        let reconciling =
            (!ready.holds && stalled.is_none()).then(|| Verdict { holds: true, ..ready.clone() });
        [
            ("Ready", Some(&ready)),
            ("Stalled", stalled.as_ref()),
            ("Reconciling", reconciling.as_ref()),
            ("Accepted", Some(&self.accepted)),
            ("PoolsBound", Some(&self.pools_bound)),
            ("HasEndpoints", Some(&self.has_endpoints)),
            ("Available", Some(&self.available)),
            ("Programmed", Some(&self.programmed)),
            ("Contested", self.contested.as_ref()),
            ("Paused", self.paused.as_ref()),
            ("Overlapping", self.overlapping.as_ref()),
        ]
        .into_iter()
        .filter_map(|(name, verdict)| Some(condition(name, verdict?, old, generation, now)))
        .collect()
    }
}

/// The conditions of `old` with Ready as `verdict` says. What else is said stays: it is about the time before.
pub(super) fn not_ready(
    verdict: &Verdict,
    old: &[Condition],
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let others = old.iter().filter(|c| !["Ready", "Stalled", "Reconciling"].contains(&c.type_.as_str()));
    std::iter::once(condition("Ready", verdict, old, generation, now)).chain(others.cloned()).collect()
}

fn condition(name: &str, verdict: &Verdict, old: &[Condition], generation: i64, now: Timestamp) -> Condition {
    let status = if verdict.holds { "True" } else { "False" };
    let same = old.iter().find(|c| c.type_ == name && c.status == status);
    Condition {
        type_: name.to_owned(),
        status: status.to_owned(),
        reason: verdict.reason.to_owned(),
        message: verdict.message.clone(),
        observed_generation: Some(generation),
        // Whole seconds, as the API server gives them back.
        last_transition_time: same.map_or_else(
            || Time(Timestamp::from_second(now.as_second()).unwrap_or(now)),
            |c| c.last_transition_time.clone(),
        ),
    }
}

/// A message cut to what a condition should hold.
fn short(message: &str) -> String {
    if message.chars().count() <= MAX_MESSAGE {
        return message.to_owned();
    }
    let cut: String = message.chars().take(MAX_MESSAGE - 1).collect();
    format!("{cut}…")
}

/// Several findings as one message after `lead`: the first ones in full, of the others at least where
/// they are, as far as they fit. Each is a place and what is wrong there.
pub(super) fn join(lead: &str, findings: &[(String, String)]) -> String {
    let mut out = lead.to_owned();
    for (i, (place, wrong)) in findings.iter().enumerate() {
        let separator = if i == 0 { "" } else { "; " };
        let places: usize = findings[i + 1..].iter().map(|(place, _)| place.len() + 2).sum();
        let more = format!("; and {} more", findings.len() - i);
        let used = out.len() + separator.len() + place.len();
        if i == 0 || used + 2 + wrong.len() + places <= MAX_MESSAGE {
            let room = MAX_MESSAGE.saturating_sub(used + 5 + places).max(60);
            let cut: String = wrong.chars().take(room).collect();
            let end = if cut.len() < wrong.len() { "…" } else { "" };
            out += &format!("{separator}{place}: {cut}{end}");
        } else if used + if i + 1 < findings.len() { more.len() } else { 0 } <= MAX_MESSAGE {
            out += &format!("{separator}{place}");
        } else {
            return out + &more;
        }
    }
    out
}

#[cfg(test)]
mod tests;
