//! Whatever a client sends on a connection: the rewriting of authorities keeps every length, does not
//! depend on the pieces in which the bytes come, and finds nothing more to do when done twice.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serve::authority::rewrite_connection;

/// The module of the picker's server, without the rest of it, which takes a minute to build.
#[allow(dead_code)]
#[path = "../../picker/serve/src"]
mod serve {
    pub mod authority;
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fuzz_target!(|input: &[u8]| {
    let Some((&step, frames)) = input.split_first() else { return };
    for bytes in [frames, &[PREFACE, frames].concat()] {
        let once = rewrite_connection(bytes, bytes.len());
        assert_eq!(once.len(), bytes.len());
        assert_eq!(rewrite_connection(bytes, usize::from(step)), once);
        assert_eq!(rewrite_connection(&once, bytes.len()), once);
    }
});
