//! Attacks on a picker, with a client beside them that means well: that one, probes of health and the memory of the
//! process are held to bounds. `cargo xtask test --only siege` plays them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod attacks;
mod observer;
mod raw;
#[path = "../running/mod.rs"]
mod running;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use rstest::rstest;
use tokio::runtime::Builder;

use attacks::Attack;
use observer::{Seen, look};
use running::Picker;

/// The budget of the picker, in KiB.
const BUDGET: u64 = 64 << 10;
const REST: Duration = Duration::from_secs(2);
const SIEGE: Duration = Duration::from_secs(10);

/// How often to look when exchanges or probes were late. Machines that others share stand still at times; an attack that
/// delays does so whenever one looks. Memory and failures count each time.
const WINDOWS: usize = 3;

/// The longest that a probe may take.
const PROBE: Duration = Duration::from_millis(200);
/// The longest that an exchange may take on a connection of its own, for which another may have to go first.
const ANEW: Duration = Duration::from_millis(500);
/// Exchanges may take three times as long as at rest, or this: where all share the processors of one machine, less says
/// nothing.
const LEAST: Duration = Duration::from_millis(30);

#[rstest]
#[case::bodies_that_are_announced(Attack::AnnouncedBodies)]
#[case::messages_without_their_last_byte(Attack::UnfinishedMessages)]
#[case::answers_that_are_not_read(Attack::UnreadAnswers)]
#[case::long_subsets(Attack::LongSubsets)]
#[case::streams_without_a_message(Attack::IdleStreams)]
#[case::headers_without_a_body(Attack::HeadersWithoutBody)]
#[case::informational_answers_without_end(Attack::InformationalAnswers)]
#[case::pages_asked_for_without_end(Attack::Pages)]
#[case::streams_that_are_reset(Attack::Resets)]
#[case::connections_that_do_nothing(Attack::IdleConnections)]
#[ignore = "takes minutes, on a machine with nothing else to do: cargo xtask test --only siege"]
fn a_client_that_means_well_is_served_meanwhile(#[case] attack: Attack) {
    // The machines of attackers are others: whatever else is here goes before their threads.
    let mut attackers = Builder::new_multi_thread();
    attackers.worker_threads(2).enable_all().on_thread_start(|| _ = rustix::process::nice(19));
    let (attackers, others) =
        (attackers.build().unwrap(), Builder::new_multi_thread().enable_all().build().unwrap());
    others.block_on(async {
        let hostile = attack == Attack::InformationalAnswers;
        let server = if hostile { attacks::endless_hints() } else { 1 };
        let endpoint = (IpAddr::V4(Ipv4Addr::LOCALHOST), server);
        let scorer = if hostile { "queue-scorer" } else { "prefix-cache-scorer" };
        let picker = Picker::start(scorer, endpoint, BUDGET, &[]).await;
        let rest = look(&picker, REST).await;
        let siege = attackers.spawn(attack.play(picker.grpc, picker.pages));
        let bound = rest.memory + BUDGET + BUDGET / 5;
        let late = |seen: &Seen| {
            let latest = (3 * rest.p99).max(LEAST);
            seen.probe > PROBE || seen.p99 > latest || seen.anew > ANEW
        };
        let mut windows = 0;
        loop {
            let seen = look(&picker, SIEGE).await;
            println!("{attack:?}: at rest {rest}; besieged {seen}");
            assert!(seen.memory <= bound, "{} KiB, more than {bound}", seen.memory);
            assert_eq!(seen.failed, 0);
            windows += 1;
            if !late(&seen) {
                break;
            }
            assert!(windows < WINDOWS, "late in each of {windows} windows: {seen}, and at rest {rest}");
        }
        siege.abort();
    });
}
