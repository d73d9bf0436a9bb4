//! Row 13: a real istiod, with an Envoy as its gateway.

mod cors;
mod edits;
mod exchanges;
mod expect;
mod istiod;
mod log;
mod mismatch;
mod objects;
mod picker_away;
mod setup;
mod tls;

use e2e::test_env::{self, TestEnv};

use setup::Setup;

#[test]
#[ignore = "needs the cluster and Istio: cargo xtask test --only gateways"]
fn a_real_istio() {
    let bar = "a real istiod: its gateway follows the picker to the very pod, edits lose nothing, 100-continue is not \
               waited for, failure modes hold";
    test_env::run(13, bar, async |env| {
        let mut setup = Setup::ready(env).await?;
        held(env, "exchanges", exchanges::follow_the_picker(&setup).await);
        held(env, "streams", exchanges::stream(&setup).await);
        held(env, "a server that only the picker knows", mismatch::is_counted(&setup).await);
        held(env, "100-continue", expect::is_told_to_continue(&setup).await);
        held(env, "edits under load", edits::lose_nothing(&setup).await);
        held(env, "a route with CORS", cors::bypasses_the_picker(&setup).await);
        held(env, "TLS with sni", tls::with_a_name(&setup).await);
        held(env, "TLS without sni", tls::without_a_name(&setup).await);
        held(env, "FailOpen", picker_away::fails_open(&mut setup).await);
        held(env, "FailClose", picker_away::fails_closed(&mut setup).await);
        Ok(())
    });
}

/// Records how a part of the story ended; the others are seen too.
fn held(env: &TestEnv, part: &str, outcome: anyhow::Result<()>) {
    let said = outcome.as_ref().err().map(|error| format!(": {error:#}")).unwrap_or_default();
    env.check(outcome.is_ok(), format_args!("{part}{said}"));
}
