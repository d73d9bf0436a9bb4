//! The limits of each peer, one connection after the other; `models.rs` has them at once.

use std::net::IpAddr;

use picker_serve::peer_limits::{ConnectionPermit, PeerLimits};

fn has_none(limits: &PeerLimits) -> bool {
    format!("{limits:?}") == format!("{:?}", PeerLimits::new(2))
}

#[test]
fn each_peer_has_its_own_limit() {
    let [a, mapped, b] = ["10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2"].map(|ip| ip.parse::<IpAddr>().unwrap());
    let limits = PeerLimits::new(2);
    let permits = [a, mapped, a, b].map(|peer| limits.permit(peer));
    assert_eq!(permits.each_ref().map(Option::is_some), [true, true, false, true]);
    assert!(!has_none(&limits));
    drop(permits);
    assert!(has_none(&limits), "{limits:?}");
}

#[test]
fn connections_that_live_on_make_room_up_to_a_limit() {
    let limits = PeerLimits::new(2);
    let permit = || limits.permit(IpAddr::from([10, 0, 0, 1]));
    let mut living: Vec<ConnectionPermit> = Vec::new();
    while let Some(mut permit) = permit() {
        permit.lives_on();
        living.push(permit);
    }
    assert_eq!(living.len(), 8, "four times as many in all");
    living.pop();
    assert!(permit().is_some());
    living.clear();
    assert!(has_none(&limits), "{limits:?}");
}
