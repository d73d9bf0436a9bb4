//! Compiles the protos. Needs no `protoc`: protox parses them, and every `bytes` field becomes
//! [`bytes::Bytes`].

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["proto/ext_proc.proto"], ["proto"])?;
    // The picker frames by itself what it serves (`extproc/grpc`).
    tonic_prost_build::configure().build_server(false).bytes(".").compile_fds(files)?;
    Ok(())
}
