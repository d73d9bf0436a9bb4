//! The content of a Lease: who holds it, until when, and how it is taken and given up. Pure.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

/// The Lease as last seen, and since when it has looked like that. Another's clock is not trusted: a Lease
/// has run out when it was not renewed for its duration by our own clock.
#[derive(Debug, Default)]
pub(super) struct Seen {
    last: Option<(Option<String>, Option<MicroTime>, Instant)>,
}

impl Seen {
    /// Whether `identity` may take the Lease.
    pub fn may_take(&mut self, lease: &Lease, identity: &str, now: Instant) -> bool {
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
        let since = match &self.last {
            Some((h, renewed, since)) if *h == holder && *renewed == spec.renew_time => *since,
            _ => {
                self.last = Some((holder.clone(), spec.renew_time, now));
                now
            }
        };
        let duration = u64::try_from(spec.lease_duration_seconds.unwrap_or(0)).unwrap_or(0);
        match holder {
            None => true,
            Some(holder) => holder == identity || now.duration_since(since) >= Duration::from_secs(duration),
        }
    }
}

/// The Lease as held by `identity` from now on.
pub(super) fn held(lease: Option<Lease>, identity: &str, duration: Duration, now: Timestamp) -> Lease {
    let mut lease = lease.unwrap_or_default();
    let old = lease.spec.take().unwrap_or_default();
    let renewal = old.holder_identity.as_deref() == Some(identity);
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: Some(i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)),
        acquire_time: if renewal { old.acquire_time } else { Some(MicroTime(now)) },
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(old.lease_transitions.unwrap_or(0) + i32::from(!renewal)),
        ..LeaseSpec::default()
    });
    lease
}

/// The Lease as given up: others may take it at once.
pub(super) fn released(mut lease: Lease, now: Timestamp) -> Lease {
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = Some(String::new());
    spec.lease_duration_seconds = Some(1);
    spec.renew_time = Some(MicroTime(now));
    lease
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn another_holder_is_left_alone_while_it_renews() {
        let mut seen = Seen::default();
        let lease = held(None, "a", TEN, Timestamp::UNIX_EPOCH);
        assert!(!seen.may_take(&lease, "b", Instant::now()));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(!seen.may_take(&lease, "b", Instant::now()));
        let renewed = held(Some(lease), "a", TEN, Timestamp::from_second(9).unwrap());
        assert!(!seen.may_take(&renewed, "b", Instant::now()));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(!seen.may_take(&renewed, "b", Instant::now()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(seen.may_take(&renewed, "b", Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_free_or_own_lease_is_taken_at_once() {
        let lease = held(None, "a", TEN, Timestamp::UNIX_EPOCH);
        assert!(Seen::default().may_take(&lease, "a", Instant::now()));
        assert!(Seen::default().may_take(&released(lease, Timestamp::UNIX_EPOCH), "b", Instant::now()));
        assert!(Seen::default().may_take(&Lease::default(), "b", Instant::now()));
    }

    #[test]
    fn transitions_count_holders() {
        let a = held(None, "a", TEN, Timestamp::UNIX_EPOCH);
        let again = held(Some(a), "a", TEN, Timestamp::from_second(3).unwrap());
        let b = held(Some(again), "b", TEN, Timestamp::from_second(6).unwrap());
        let spec = b.spec.unwrap();
        assert_eq!(spec.lease_transitions, Some(2));
        assert_eq!(spec.acquire_time, Some(MicroTime(Timestamp::from_second(6).unwrap())));
        assert_eq!(spec.lease_duration_seconds, Some(10));
    }
}
