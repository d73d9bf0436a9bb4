#!/bin/sh
# Compiles our own crates and the YAML reader with coverage for libFuzzer, and the rest as it is. The
# flags are those of cargo-fuzz, which a stable compiler takes too.
case "$CARGO_PKG_NAME" in
fuzz | picker-core | serde-saphyr | granit-parser)
    # One codegen unit, or the linker may drop counters.
    exec "$@" -Ccodegen-units=1 -Cpasses=sancov-module \
        -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
*)
    exec "$@"
    ;;
esac
