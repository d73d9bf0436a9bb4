//! Microbenchmarks of a decision and of its parts; and for the gate of `cargo xtask test`, which counts their
//! instructions, each of them alone.
//!
//! ```sh
//! cargo bench -p picker-core                  # all, with times
//! cargo bench -p picker-core -- match         # those with `match` in their name
//! ```
#![allow(clippy::expect_used, reason = "a benchmark of what fails measures nothing")]
#![allow(clippy::disallowed_methods, reason = "it makes the time of its decisions")]

mod cases;
mod observer;
mod workload;

use cases::{Case, LONG, SHORT, YARDSTICKS};
use divan::Bencher;
use workload::{Chat, Chats};

/// As the picker has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// So many requests before the first that is measured.
const WARM: usize = 256;
/// So many are counted, to have the mean of different ones.
const COUNTED: usize = 64;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let gated = || SHORT.iter().chain(LONG);
    match args[1..] {
        ["--names"] => gated().for_each(|case| println!("{case}")),
        ["--counted", name] => {
            once(gated().find(|case| case.name == name).expect("one of --names"));
            println!("{COUNTED}");
        }
        _ => divan::main(),
    }
}

/// Readies a case, and does it as often as is counted.
fn once(case: &Case) {
    let (mut chats, mut work) = warm(case);
    let chats: Vec<Chat> = (0..COUNTED).map(|_| chats.next()).collect();
    counted(&chats, &mut *work);
}

/// What the gate counts: it knows this function by its name.
#[inline(never)]
fn counted(chats: &[Chat], work: &mut dyn FnMut(&Chat)) {
    chats.iter().for_each(work);
}

fn warm(case: &Case) -> (Chats, cases::Work) {
    let mut chats = Chats::new(case.size);
    let mut work = (case.ready)(&mut chats);
    (0..WARM).for_each(|_| work(&chats.next()));
    (chats, work)
}

fn measure(bencher: Bencher<'_, '_>, case: &Case) {
    let (mut chats, mut work) = warm(case);
    bencher.with_inputs(|| chats.next()).bench_local_refs(|chat| work(chat));
}

#[divan::bench(args = SHORT, sample_count = 200, sample_size = 64)]
fn short(bencher: Bencher<'_, '_>, case: &Case) {
    measure(bencher, case);
}

/// One by one, so that a body is in the cache, as it is when it has just come in.
#[divan::bench(args = LONG, sample_count = 1000, sample_size = 1)]
fn long(bencher: Bencher<'_, '_>, case: &Case) {
    measure(bencher, case);
}

/// What others do with the same bodies: a tree of all that is in them, and one hash.
#[divan::bench(args = YARDSTICKS, sample_count = 1000, sample_size = 1)]
fn serde_json_and_xxh3(bencher: Bencher<'_, '_>, case: &Case) {
    measure(bencher, case);
}
