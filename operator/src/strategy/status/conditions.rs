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
mod tests {
    use super::*;

    fn good() -> Verdicts {
        let yes = |reason| Verdict::good(reason, "fine");
        Verdicts {
            accepted: yes("Accepted"),
            pools: None,
            pools_bound: yes("Bound"),
            has_endpoints: yes("Endpoints"),
            available: yes("Available"),
            programmed: yes("Programmed"),
            contested: None,
            paused: None,
            overlapping: None,
            unfinished: None,
            summary: "all is well".to_owned(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn brief(conditions: &[Condition]) -> Vec<(&str, &str, &str)> {
        conditions.iter().map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str())).collect()
    }

    #[test]
    fn all_good_is_ready_and_nothing_else() {
        assert_eq!(
            brief(&good().conditions(&[], 1, at(0))),
            [
                ("Ready", "True", "Ready"),
                ("Accepted", "True", "Accepted"),
                ("PoolsBound", "True", "Bound"),
                ("HasEndpoints", "True", "Endpoints"),
                ("Available", "True", "Available"),
                ("Programmed", "True", "Programmed"),
            ]
        );
    }

    #[test]
    fn what_needs_a_hand_stalls_and_what_does_not_reconciles() {
        let mut verdicts = good();
        verdicts.available = Verdict::bad("Progressing", "1 of 2");
        let conditions = verdicts.conditions(&[], 1, at(0));
        assert_eq!(
            brief(&conditions)[..2],
            [("Ready", "False", "Progressing"), ("Reconciling", "True", "Progressing")]
        );
        verdicts.accepted = Verdict::bad("InvalidRouting", "plugins[0]");
        verdicts.contested = Some(Verdict::good("FieldManagedElsewhere", "helm"));
        let conditions = verdicts.conditions(&[], 1, at(0));
        assert_eq!(
            brief(&conditions)[..3],
            [
                ("Ready", "False", "InvalidRouting"),
                ("Stalled", "True", "InvalidRouting"),
                ("Accepted", "False", "InvalidRouting"),
            ]
        );
        assert_eq!(conditions.last().map(|c| c.type_.as_str()), Some("Contested"));
    }

    #[test]
    fn missing_endpoints_are_said_and_are_no_part_of_ready() {
        let mut verdicts = good();
        verdicts.has_endpoints = Verdict::bad("NoPods", "none");
        let conditions = verdicts.conditions(&[], 1, at(0));
        assert_eq!(brief(&conditions)[0], ("Ready", "True", "Ready"));
        assert!(!conditions.iter().any(|c| c.type_ == "Stalled" || c.type_ == "Reconciling"));
    }

    #[test]
    fn what_is_being_released_is_not_ready() {
        let mut verdicts = good();
        verdicts.available = Verdict::bad("NameTaken", "x");
        let old = verdicts.conditions(&[], 1, at(10));
        let new = not_ready(&Verdict::bad("Releasing", "pool a: no"), &old, 2, at(20));
        assert_eq!(brief(&new)[..2], [("Ready", "False", "Releasing"), ("Accepted", "True", "Accepted")]);
        assert_eq!(new[0].last_transition_time.0, at(10));
        assert_eq!(not_ready(&Verdict::bad("Releasing", "pool a: no"), &new, 2, at(30)), new);
        verdicts = Verdicts { unfinished: Some(Verdict::bad("Releasing", "pool a: no")), ..good() };
        assert_eq!(brief(&verdicts.conditions(&[], 1, at(0)))[0], ("Ready", "False", "Releasing"));
    }

    #[test]
    fn time_moves_when_the_status_turns() {
        let old = good().conditions(&[], 1, at(10));
        let mut verdicts = good();
        verdicts.programmed = Verdict::bad("Pending", "1 of 2");
        let new = verdicts.conditions(&old, 2, at(20));
        let times: Vec<_> =
            new.iter().map(|c| (c.type_.as_str(), c.last_transition_time.0.as_second())).collect();
        assert_eq!(times[0], ("Ready", 20));
        assert_eq!(times[2], ("Accepted", 10));
        assert!(times.contains(&("Programmed", 20)));
    }

    #[test]
    fn messages_are_short() {
        let finding = |place: &str, wrong: &str| (place.to_owned(), wrong.to_owned());
        assert_eq!(join("so: ", &[finding("a", "x"), finding("b", "y")]), "so: a: x; b: y");
        let long = "unknown plugin type; known: ".to_owned() + &"something-scorer, ".repeat(40);
        let message = join("", &[finding("plugins[0].type", &long), finding("plugins[1].name", &long)]);
        assert!(message.starts_with("plugins[0].type: unknown plugin type; known: something"), "{message}");
        assert!(message.ends_with("…; plugins[1].name"), "{message}");
        assert!(message.chars().count() <= MAX_MESSAGE, "{message}");
        let many: Vec<_> = (0..40).map(|i| finding(&format!("plugins[{i}].type"), &long)).collect();
        let message = join("", &many);
        assert!(message.ends_with(" more") && message.chars().count() <= MAX_MESSAGE, "{message}");
        assert_eq!(Verdict::bad("X", "é".repeat(600)).message.chars().count(), MAX_MESSAGE);
    }
}
