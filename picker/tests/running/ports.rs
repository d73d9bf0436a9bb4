//! Ports for a process that a test starts.

use std::net::TcpListener;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below those that the kernel gives to connections and to listeners without a port of their own (from 32768 on, unless the
/// machine says otherwise), and to NodePorts: a port that is free stays free until the process has it.
const FIRST: u32 = 21_000;
const COUNT: u32 = 7_000;

/// Ports at which nobody listens. No test of this program is given one that another has.
pub fn free<const N: usize>() -> [u16; N] {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Programs that run at the same time begin elsewhere.
    let begin = process::id().wrapping_mul(151);
    [(); N].map(|()| {
        for _ in 0..COUNT {
            let n = begin.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
            let port = (FIRST + n % COUNT) as u16;
            if TcpListener::bind(("0.0.0.0", port)).is_ok() {
                return port;
            }
        }
        panic!("no port is free from {FIRST} on");
    })
}
