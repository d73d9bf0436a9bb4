use std::sync::LazyLock;

use bytes::Bytes;
use picker_core::plugin::{BuildCx, BuildError, Origin, Plugin, Registration, Registry, Role, Roles, Task};
use picker_core::plugins::builtin;
use serde::Deserialize;

use super::*;

fn found(hot: &Hot, names: &[&'static str]) -> Vec<String> {
    let value = Bytes::from("169.254.169.254:80");
    let headers = Headers(names.iter().map(|name| (Bytes::from(*name), value.clone())).collect());
    untrusted(hot, Trust::default(), &headers).map(str::to_owned).collect()
}

#[test]
fn what_gateways_and_other_pickers_write_is_found() {
    let bad = [
        SUBSET,
        SERVED,
        "x-prefiller-host-port",
        "x-prefiller-url",
        "x-encoder-hosts-ports",
        "x-data-parallel-host-port",
        "x-data-parallel-rank",
        "x-dp-rank",
        "x-prefill-dp-rank",
        "x-kv-cache-source-host-port",
        "x-worker-instance-id",
        "x-prefill-instance-id",
        "x-dynamo-routing-mode",
        "x-epp-inject-nvext-token-data",
        "x-smg-target-worker",
        "x-openfuyao-prefill",
    ];
    let good = [
        ":path",
        "accept",
        "x-gateway-destination-endpoint",
        "x-request-id",
        "x-data-parallel",
        "x-prefiller",
    ];
    let all: Vec<_> = good.into_iter().chain(bad).collect();
    assert_eq!(found(&Hot::default(), &all), bad);
}

/// Writes a header for model servers.
struct Writer;

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {}

impl Plugin for Writer {
    const TYPE: &'static str = "writer";
    const TASK: Task = Task::OwnRules;
    const ORIGIN: Origin = Origin::Waypost;
    const SUMMARY: &'static str = "Writes a header.";
    const ROLES: &'static [Role] = &[];
    const WRITES: &'static [&'static str] = &["x-own"];
    const SAMPLE: &'static str = "";
    type Params = Params;

    fn build(_: Params, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles::default())
    }
}

#[test]
fn what_the_plugins_in_use_write_is_found() {
    let hot = Hot::default();
    for name in builtin().written_headers() {
        assert_eq!(found(&hot, &[name]), [name]);
    }
    assert_eq!(found(&hot, &["x-own"]), Vec::<String>::new());
    static OWN: LazyLock<Registry> = LazyLock::new(|| builtin().clone().with(Registration::of::<Writer>()));
    assert_eq!(found(&Hot::new(&OWN), &["x-own", "accept"]), ["x-own"]);
}
