use std::time::Duration;

use clap::{CommandFactory, Parser};
use rstest::rstest;

use super::normalise::{Normalised, normalise};
use super::*;
use crate::bbr::fields::{Field, Fields};

fn cli(line: &[&str]) -> Result<(Cli, Vec<String>), clap::Error> {
    let args = std::iter::once("picker").chain(line.iter().copied()).map(str::to_owned);
    let Normalised { args, ignored } = normalise(args);
    Cli::try_parse_from(args).map(|cli| (cli, ignored))
}

fn serve(line: &[&str]) -> ServeArgs {
    let (cli, ignored) = cli(line).unwrap();
    assert_eq!(ignored, [""; 0]);
    cli.serve
}

fn defaults() -> ServeArgs {
    ServeArgs {
        strategy: None,
        config_file: None,
        config_text: None,
        pool_name: None,
        pool_namespace: None,
        pool_group: PoolGroup::V1,
        endpoint_selector: None,
        endpoint_target_ports: Vec::new(),
        disable_endpoint_subset_filter: false,
        emit_endpoint_scores: false,
        grpc_port: 9002,
        grpc_health_port: 9003,
        metrics_port: 9090,
        secure_serving: true,
        cert_path: None,
        tls_min_version: TlsVersion::V12,
        max_request_body: 16 << 20,
        refuse_longer_bodies: false,
        body_timeout: Duration::from_secs(30),
        max_held_bytes: 256 << 20,
        drain_timeout: Duration::from_secs(30),
        metrics_endpoint_auth: false,
        client_ca: None,
        compat_metrics: Vec::new(),
        stream_tasks: StreamTasks::Joined,
        bbr: BbrArgs::default(),
        refresh_metrics_interval: Duration::from_millis(50),
        metrics_rest_interval: Duration::from_secs(2),
        metrics_max_server_share: ServerShare::new(0.02).unwrap(),
        metrics_staleness_threshold: Duration::from_secs(2),
        model_server_metrics_path: None,
        model_server_metrics_port: 0,
        model_server_metrics_scheme: Scheme::Http,
        model_server_metrics_https_insecure_skip_verify: None,
        model_server_metrics_ca_cert_path: None,
        model_server_metrics_client_cert_path: None,
        model_server_metrics_client_key_path: None,
        verbosity: 2,
        zap_encoder: Encoder::Console,
        zap_log_level: None,
    }
}

#[test]
fn nothing_is_the_defaults() {
    assert_eq!(serve(&[]), defaults());
}

#[test]
fn metrics_have_the_names_of_other_pickers_on_request() {
    let both = ServeArgs { compat_metrics: vec![Dialect::Gie, Dialect::LlmD], ..defaults() };
    assert_eq!(serve(&["--compat-metrics=gie,llm-d"]), both);
    assert_eq!(serve(&["--compat-metrics", "gie", "--compat-metrics", "llm-d"]), both);
    let refused = cli(&["--compat-metrics=kserve"]).unwrap_err().to_string();
    assert!(refused.contains("possible values: llm-d, gie"), "{refused}");
}

#[test]
fn streams_run_in_tasks_of_their_own_for_benchmarks() {
    let args = serve(&["--stream-tasks=spawned"]);
    assert_eq!(args, ServeArgs { stream_tasks: StreamTasks::Spawned, ..defaults() });
    assert!(cli(&["--stream-tasks=threads"]).unwrap_err().to_string().contains("must be joined or spawned"));
    assert!(!Cli::command().render_long_help().to_string().contains("--stream-tasks"));
}

/// The arguments that KServe gives the picker of an LLMInferenceService, with TLS and without it: what its template leaves
/// out is an empty argument.
#[test]
fn the_arguments_of_kserve() {
    let common =
        ["--pool-name", "a", "--pool-namespace", "b", "--zap-encoder", "json", "--grpc-port", "9002"];
    let wanted = ServeArgs {
        pool_name: Some("a".to_owned()),
        pool_namespace: Some("b".to_owned()),
        zap_encoder: Encoder::Json,
        ..defaults()
    };
    let without = serve(&[&common[..], &["", "", "", ""]].concat());
    assert_eq!(without.metrics_tls(), None);
    assert_eq!(without, wanted);
    let flags = [
        "--enable-cert-reload=true",
        "--secure-serving=true",
        "--model-server-metrics-scheme=https",
        "--cert-path=/var/run/kserve/tls",
    ];
    let (with, ignored) = cli(&[&common[..], &flags].concat()).unwrap();
    let with = with.serve;
    assert_eq!(ignored, ["--enable-cert-reload"]);
    assert_eq!(with.metrics_tls(), Some(Tls::default()));
    assert_eq!(
        with,
        ServeArgs {
            model_server_metrics_scheme: Scheme::Https,
            cert_path: Some("/var/run/kserve/tls".into()),
            ..wanted
        }
    );
}

/// Whether certificates are checked, the authorities, certificate and key.
type TlsFlags = (bool, Option<&'static str>, Option<(&'static str, &'static str)>);

#[rstest]
#[case::http(&["--model-server-metrics-ca-cert-path=/ca"], None)]
#[case::nothing_is_checked(&["--model-server-metrics-scheme", "https"], Some((false, None, None)))]
#[case::an_authority(
    &["--model-server-metrics-scheme", "https", "--model-server-metrics-ca-cert-path", "/ca"],
    Some((true, Some("/ca"), None))
)]
#[case::those_of_the_system(
    &["--model-server-metrics-scheme=https", "--model-server-metrics-https-insecure-skip-verify=false"],
    Some((true, None, None))
)]
#[case::in_go_s_spelling(
    &["-modelServerMetricsScheme", "https", "-modelServerMetricsHttpsInsecureSkipVerify", "false"],
    Some((true, None, None))
)]
#[case::not_checked_after_all(
    &[
        "--model-server-metrics-scheme=https",
        "--model-server-metrics-ca-cert-path=/ca",
        "--model-server-metrics-https-insecure-skip-verify",
    ],
    Some((false, Some("/ca"), None))
)]
#[case::a_certificate_of_its_own(
    &[
        "--model-server-metrics-scheme=https",
        "--model-server-metrics-client-cert-path=/c",
        "--model-server-metrics-client-key-path=/k",
    ],
    Some((false, None, Some(("/c", "/k"))))
)]
fn metrics_by_tls(#[case] flags: &[&str], #[case] wanted: Option<TlsFlags>) {
    let wanted = wanted.map(|(verify, ca, client)| Tls {
        verify,
        ca: ca.map(str::to_owned),
        client: client.map(|(certificate, key)| (certificate.to_owned(), key.to_owned())),
    });
    assert_eq!(serve(flags).metrics_tls(), wanted);
}

#[test]
fn a_certificate_for_model_servers_needs_its_key() {
    for flag in ["--model-server-metrics-client-cert-path=/c", "--model-server-metrics-client-key-path=/k"] {
        assert!(cli(&["--model-server-metrics-scheme=https", flag]).is_err(), "{flag}");
    }
}

#[test]
fn the_guide_of_envoy_ai_gateway() {
    let args = serve(&[
        "--pool-name",
        "mistral",
        "--pool-namespace",
        "default",
        "--v",
        "4",
        "--zap-encoder",
        "json",
        "--grpc-port",
        "9002",
        "--grpc-health-port",
        "9003",
        "--config-file",
        "/config/default-plugins.yaml",
    ]);
    let expected = ServeArgs {
        pool_name: Some("mistral".to_owned()),
        pool_namespace: Some("default".to_owned()),
        verbosity: 4,
        zap_encoder: Encoder::Json,
        config_file: Some("/config/default-plugins.yaml".into()),
        ..defaults()
    };
    assert_eq!(args, expected);
}

#[test]
fn the_flags_of_older_guides() {
    let (cli, ignored) = cli(&[
        "-poolName",
        "vllm-llama3-8b-instruct",
        "-poolNamespace=default",
        "-v=4",
        "-grpcPort",
        "9002",
        "--kv-cache-usage-percentage-metric",
        "vllm:gpu_cache_usage_perc",
        "--ha-enable-leader-election",
        "--enable-pprof=false",
        "-refreshMetricsInterval=100ms",
    ])
    .unwrap();
    let expected = ServeArgs {
        pool_name: Some("vllm-llama3-8b-instruct".to_owned()),
        pool_namespace: Some("default".to_owned()),
        verbosity: 4,
        refresh_metrics_interval: Duration::from_millis(100),
        ..defaults()
    };
    assert_eq!(cli.serve, expected);
    assert_eq!(
        ignored,
        ["--kv-cache-usage-percentage-metric", "--ha-enable-leader-election", "--enable-pprof"]
    );
}

#[rstest]
#[case(&["-v", "4"])]
#[case(&["-v=4"])]
#[case(&["-v4"])]
#[case(&["--v", "4"])]
#[case(&["--v=4"])]
fn verbosity_in_every_form(#[case] line: &[&str]) {
    assert_eq!(serve(line), ServeArgs { verbosity: 4, ..defaults() });
}

#[rstest]
#[case(&["--secure-serving=false"], false)]
#[case(&["--secureServing=F"], false)]
#[case(&["-secure-serving=0"], false)]
#[case(&["--secure-serving", "false"], false)]
#[case(&["--secure-serving"], true)]
#[case(&["--secure-serving", "true"], true)]
#[case(&["--secure-serving=T"], true)]
fn truth_in_every_form(#[case] line: &[&str], #[case] expected: bool) {
    assert_eq!(serve(line), ServeArgs { secure_serving: expected, ..defaults() });
    // And a flag behind it is still read.
    let with = serve(&[line, &["--pool-name", "a"]].concat());
    assert_eq!(with, ServeArgs { secure_serving: expected, pool_name: Some("a".to_owned()), ..defaults() });
}

#[test]
fn a_value_may_begin_with_dashes() {
    let text = "---\napiVersion: llm-d.ai/v1alpha1\n";
    assert_eq!(
        serve(&["--config-text", text]),
        ServeArgs { config_text: Some(text.to_owned()), ..defaults() }
    );
}

#[test]
fn a_strategy_of_the_cluster() {
    let args = serve(&[
        "--strategy",
        "llm/chat",
        "--pool-name=qwen",
        "--pool-group",
        "inference.networking.x-k8s.io",
    ]);
    let expected = ServeArgs {
        strategy: Some(StrategyRef { namespace: "llm".to_owned(), name: "chat".to_owned() }),
        pool_name: Some("qwen".to_owned()),
        pool_group: PoolGroup::V1Alpha2,
        ..defaults()
    };
    assert_eq!(args, expected);
    assert_eq!(args.namespace(), "llm");
    assert_eq!(ServeArgs { pool_namespace: Some("b".to_owned()), ..args }.namespace(), "b");
    assert_eq!(defaults().namespace(), "default");
}

#[test]
fn pods_without_a_pool() {
    let args =
        serve(&["--endpoint-selector", "app=vllm,tier in (a)", "--endpoint-target-ports", "8000,8001"]);
    let expected = ServeArgs {
        endpoint_selector: Some("app=vllm,tier in (a)".to_owned()),
        endpoint_target_ports: vec![8000, 8001],
        ..defaults()
    };
    assert_eq!(args, expected);
}

#[rstest]
#[case::in_order(&["8001,8000", "80"], Ok(&[8001, 8000, 80][..]))]
#[case::each_once(&["8000,8001,8000"], Ok(&[8000, 8001][..]))]
#[case::as_many_as_a_pool_has(&["1,2,3,4,5,6,7,8,1"], Ok(&[1, 2, 3, 4, 5, 6, 7, 8][..]))]
#[case::too_many(&["1,2,3,4,5,6,7,8,9"], Err("--endpoint-target-ports: at most 8 ports, and these are 9"))]
fn ports_of_pods(#[case] given: &[&str], #[case] expected: Result<&[u16], &str>) {
    let line: Vec<_> = given.iter().flat_map(|ports| ["--endpoint-target-ports", *ports]).collect();
    let ports = serve(&line).target_ports();
    assert_eq!(ports.as_deref().map_err(String::as_str), expected);
}

#[rstest]
#[case("1.2", TlsVersion::V12)]
#[case("1.3", TlsVersion::V13)]
#[case("VersionTLS13", TlsVersion::V13)]
fn the_oldest_tls(#[case] text: &str, #[case] tls_min_version: TlsVersion) {
    assert_eq!(serve(&["--tls-min-version", text]), ServeArgs { tls_min_version, ..defaults() });
}

#[rstest]
#[case(&["--emit-endpoint-scores"], true)]
#[case(&["-emitEndpointScores", "false"], false)]
fn gateways_are_told_totals(#[case] line: &[&str], #[case] emit_endpoint_scores: bool) {
    assert_eq!(cli(line).unwrap().1, Vec::<String>::new());
    assert_eq!(serve(line), ServeArgs { emit_endpoint_scores, ..defaults() });
}

#[test]
fn flags_of_safety_that_change_nothing_are_told_apart() {
    let (_, ignored) = cli(&["--metrics-client-ca-file", "ca", "--metrics-cert-dir=d", "--tracing"]).unwrap();
    let told: Vec<_> = ignored.iter().map(|flag| consequence(flag).is_some()).collect();
    assert_eq!(told, [true, true, false]);
}

#[test]
fn metrics_in_another_place() {
    let args = serve(&[
        "--model-server-metrics-path=/stats",
        "-modelServerMetricsPort",
        "8002",
        "--model-server-metrics-scheme",
        "http",
    ]);
    let expected = ServeArgs {
        model_server_metrics_path: Some("/stats".parse().unwrap()),
        model_server_metrics_port: 8002,
        ..defaults()
    };
    assert_eq!(args, expected);
}

#[rstest]
#[case(&["--config-file", "a", "--config-text", "b"], "cannot be used with")]
#[case(&["--strategy", "a/b", "--config-text", "b"], "cannot be used with")]
#[case(&["--pool-name", "a", "--endpoint-selector", "b", "--endpoint-target-ports", "1"], "cannot be used with")]
#[case(&["--endpoint-selector", "b"], "--endpoint-target-ports")]
#[case(&["--strategy", "a/b"], "<--pool-name <NAME>|--endpoint-selector <SELECTOR>>")]
#[case(&["--tls-min-version=1.1"], "[possible values: 1.2, 1.3]")]
#[case(&["--strategy", "chat"], "must be NAMESPACE/NAME")]
#[case(&["--pool-group", "example.com"], "must be inference.networking.k8s.io or inference.networking.x-k8s.io")]
#[case(&["--drain-timeout", "soon"], "write one like 50ms, 2s or 1m30s")]
#[case(&["--secure-serving=perhaps"], "must be true or false")]
#[case(&["--grpc-port", "99999"], "99999 is not in 0..=65535")]
#[case(&["--model-server-metrics-scheme=ftp"], "'ftp' for '--model-server-metrics-scheme <SCHEME>'")]
#[case(&["--model-server-metrics-path", "metrics"], "must be a path, and begin with /")]
#[case(&["--no-such-flag"], "unexpected argument '--no-such-flag'")]
fn what_is_wrong_is_said(#[case] line: &[&str], #[case] part: &str) {
    let error = cli(line).unwrap_err().to_string();
    assert!(error.contains(part), "{error}");
}

#[test]
fn subcommands_are_left_alone() {
    let (cli, _) = cli(&["plugins", "-o", "json", "queue-scorer"]).unwrap();
    assert_eq!(
        cli.command,
        Some(Command::Plugins { types: vec!["queue-scorer".to_owned()], output: Output::Json })
    );
}

#[rstest]
#[case("0", 0)]
#[case("50ms", 50)]
#[case("1.5s", 1500)]
#[case("1m30s", 90_000)]
#[case("2h", 7_200_000)]
fn durations(#[case] text: &str, #[case] millis: u64) {
    assert_eq!(value::duration(text), Ok(Duration::from_millis(millis)));
}

#[rstest]
fn no_durations(#[values("", "s", "5", "5 s", "-5s", "1x", "1e999s", "s5")] text: &str) {
    assert!(value::duration(text).is_err());
}

#[test]
fn bodies_route_on_ports_of_their_own() {
    for line in [&["--bbr"][..], &["--bbr", "true"], &["-bbr=1"]] {
        let args = serve(line);
        let bbr = BbrArgs { bbr: true, ..BbrArgs::default() };
        let expected = ServeArgs { bbr, grpc_port: 9004, grpc_health_port: 9005, ..defaults() };
        assert_eq!(args, expected, "{line:?}");
        assert!(args.bbr.is_on());
    }
    let args = serve(&["--bbr", "--grpc-port=9002"]);
    assert_eq!((args.grpc_port, args.grpc_health_port, args.metrics_port), (9002, 9005, 9090));
    assert!(!serve(&["--bbr=false"]).bbr.is_on());
    for of_pickers in ["--strategy=llm/chat", "--config-file=x", "--pool-name=x", "--endpoint-selector=app=x"]
    {
        let error = cli(&["--bbr", of_pickers, "--endpoint-target-ports=1"]).unwrap_err().to_string();
        assert!(error.contains("cannot be used with"), "{error}");
    }
    assert_eq!(serve(&["--bbr=false"]).grpc_port, 9002);
}

#[test]
fn what_bodies_say_has_headers_of_any_name() {
    let line = ["--bbr", "--bbr-model-header=X-Model", "--bbr-field", "user:X-User", "--bbr-adapter", "a=b"];
    let args = serve(&line);
    let field = |name: &str, header: &'static str| Field { name: name.to_owned(), header: header.into() };
    let fields = vec![field("model", "x-model"), field("user", "x-user")];
    assert_eq!(args.bbr.fields(), Fields::new(fields, Some("x-gateway-base-model-name".into())));
    assert_eq!(args.bbr.bbr_adapter, [("a".to_owned(), "b".to_owned())]);
    for bad in ["--bbr-model-header=a b", "--bbr-field=user", "--bbr-adapter=a", "--plugin=other:x"] {
        assert!(cli(&["--bbr", bad]).is_err(), "{bad}");
    }
}

/// The arguments of GIE's chart body-based-routing.
#[test]
fn the_arguments_of_the_chart_of_gie() {
    let plugin =
        r#"body-field-to-header:model-extractor:{"fieldName":"model","headerName":"X-Gateway-Model-Name"}"#;
    let line =
        ["--streaming", "--v", "3", "--plugin", plugin, "--plugin", "base-model-to-header:base-model-mapper"];
    let (cli, ignored) = cli(&line).unwrap();
    assert_eq!(ignored, ["--streaming"]);
    assert!(cli.serve.bbr.is_on());
    assert_eq!((cli.serve.grpc_port, cli.serve.grpc_health_port, cli.serve.verbosity), (9004, 9005, 3));
    assert_eq!(cli.serve.bbr.fields(), BbrArgs::default().fields());
    // What is named replaces what is there without.
    let only = serve(&["--plugin", plugin]).bbr.fields();
    assert_eq!(only.base_model_header(), None);
}
