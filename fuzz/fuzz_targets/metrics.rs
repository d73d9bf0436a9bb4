//! Whatever a model server answers for its metrics: what is read does not depend on the chunks in which
//! it comes, and every figure is one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use scrape::engine::Engine;
use scrape::scan::{Scanner, scan};

/// The picker's own modules, without the rest of it, which takes minutes to build.
#[allow(dead_code, unused_imports)]
#[path = "../../picker/src/scrape"]
mod scrape {
    pub mod engine;
    mod labels;
    pub mod scan;
}

const HINTS: [Option<Engine>; 6] = [
    None,
    Some(Engine::Vllm),
    Some(Engine::Sglang),
    Some(Engine::TrtllmServe),
    Some(Engine::TritonTrtllm),
    Some(Engine::Triton),
];

fuzz_target!(|input: &[u8]| {
    let [hint, step, text @ ..] = input else { return };
    let hint = HINTS[usize::from(*hint) % HINTS.len()];
    let whole = scan(text, hint);
    for figure in [whole.waiting, whole.running, whole.kv_usage].into_iter().flatten() {
        assert!(figure.is_finite() && figure >= 0.0, "{figure}");
    }
    let mut scanner = Scanner::default();
    text.chunks(usize::from(*step).max(1)).for_each(|chunk| scanner.feed(chunk));
    assert_eq!(scanner.finish(hint), whole);
    // Nothing of one text is left for the next.
    assert_eq!(scanner.finish(hint), scan(b"", hint));
});
