//! Conditional requests: what a client says must be so for its request to be served, and what turns it away.
//!
//! `Prefer: if-available` (in the syntax of RFC 7240; llm-d's coordinator sends it) asks for the answer of a server that has
//! something of the prompt in its prefix cache, and for status 412 otherwise, so that the client prefills elsewhere first. A
//! request whose priority is below 0 is one that may be turned away: that happens while the servers are saturated.

use crate::ask::Decision;
use crate::column::Column;
use crate::fact::{Facts, PrefixMatch, Slot};
use crate::refusal::{Refusal, RefusalKind};
use crate::request::Request;
use crate::view::{Candidates, View};

/// The preference of a client that wants no answer but a cached one.
const IF_AVAILABLE: &[u8] = b"if-available";

/// Waiting requests, and the part of the KV cache, at which a server is saturated: llm-d's `utilization-detector` by default.
const WAITING: f32 = 5.0;
const KV_USAGE: f32 = 0.8;

/// Refuses a request that asks for a cached answer, if its destination is not known to have anything of its prompt by any of
/// the facts in `slots`. Without such facts nothing is known, and it goes on.
///
/// # Errors
/// The refusal.
#[inline]
pub(super) fn cached(
    request: &Request,
    slots: &[Slot<PrefixMatch>],
    decision: &Decision,
    facts: &Facts,
) -> Result<(), Refusal> {
    if slots.is_empty() || !prefers_cached(request) {
        return Ok(());
    }
    let Some(destination) = decision.destination() else { return Ok(()) };
    let has = |slot: &Slot<PrefixMatch>| facts.get(*slot).blocks(destination[0] as usize) > 0;
    if slots.iter().any(has) { Ok(()) } else { Err(RefusalKind::NotCached.into()) }
}

fn prefers_cached(request: &Request) -> bool {
    let headers = &request.headers.0;
    let values = headers.iter().filter(|(name, _)| &name[..] == b"prefer").map(|(_, value)| value);
    let mut preferences = values.flat_map(|value| value.split(|byte| *byte == b','));
    // Parameters of a preference change nothing of it.
    preferences.any(|one| {
        let name = one.split(|byte| *byte == b';').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(IF_AVAILABLE)
    })
}

/// Refuses a request that may be turned away while the servers that it could go to are saturated: when the mean over them of
/// the larger one of waiting / 5 and KV cache usage / 0.8 is at least 1. A server of which neither is known counts as
/// saturated; where nothing is known of any, it goes on.
///
/// # Errors
/// The refusal.
#[inline]
pub(super) fn room(request: &Request, view: &View, allowed: &Candidates) -> Result<(), Refusal> {
    if request.priority < 0 && saturation(view, allowed).is_some_and(|mean| mean >= 1.0) {
        return Err(RefusalKind::Shed.into());
    }
    Ok(())
}

/// How saturated the servers are, 1 for as much as they bear; `None` when nothing is known of any.
#[cold]
fn saturation(view: &View, allowed: &Candidates) -> Option<f32> {
    let (waiting, kv_usage) = (view.column(Column::WAITING), view.column(Column::KV_USAGE));
    let of = |i: usize| {
        // The larger of two is the other one where one is not known.
        let saturation = (waiting[i] / WAITING).max(kv_usage[i] / KV_USAGE);
        (!saturation.is_nan()).then_some(saturation)
    };
    let known = allowed.iter().any(|i| of(i).is_some());
    let sum: f32 = allowed.iter().map(|i| of(i).unwrap_or(1.0)).sum();
    known.then(|| sum / allowed.len() as f32)
}
