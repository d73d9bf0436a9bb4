//! Compiles the protos. Needs no `protoc`: protox parses them, and every `bytes` field becomes
//! [`bytes::Bytes`].

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["proto/ext_proc.proto"], ["proto"])?;
    tonic_prost_build::configure().bytes(".").compile_fds(files)?;
    Ok(())
}
