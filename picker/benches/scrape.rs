//! Microbenchmark of reading a model server's metrics: `cargo bench -p picker --bench scrape`.

use std::fmt::Write;
use std::sync::Arc;

use picker::scrape::models;
use picker::scrape::scan;
use picker::scrape::table::Table;
use picker_core::column::Column;
use picker_core::scrape::SourcePlan;

/// As the picker has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a vLLM server that has been up for some time says.
const PAGE: usize = 40_000;

fn main() {
    divan::main();
}

/// The gauges that are wanted, among counters and histograms that are not.
fn page() -> String {
    let labels = r#"engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct""#;
    let mut text = String::new();
    // Writing to a String never fails.
    for (name, value) in
        [("num_requests_running", 12.0), ("num_requests_waiting", 3.0), ("kv_cache_usage_perc", 0.4375)]
    {
        let _ = writeln!(
            text,
            "# HELP vllm:{name} What it is.\n# TYPE vllm:{name} gauge\nvllm:{name}{{{labels}}} {value:?}"
        );
    }
    let _ =
        writeln!(text, r#"vllm:cache_config_info{{block_size="16",num_gpu_blocks="27514",engine="0"}} 1.0"#);
    let histograms =
        ["time_to_first_token_seconds", "inter_token_latency_seconds", "e2e_request_latency_seconds"];
    for n in 0.. {
        let name = histograms[n / 20 % histograms.len()];
        if n % 20 == 0 {
            let _ = writeln!(text, "# HELP vllm:{name} What it is.\n# TYPE vllm:{name} histogram");
        }
        let _ = writeln!(text, "vllm:{name}_bucket{{{labels},le=\"{:?}\"}} {n}.0", n as f64 / 100.0);
        if text.len() >= PAGE {
            return text;
        }
    }
    text
}

#[divan::bench]
fn vllm_40_kb(bencher: divan::Bencher<'_, '_>) {
    let page = page();
    let plan = SourcePlan::of(&[Column::CACHE_CONFIG, Column::LORA]);
    let table = Arc::new(Table::new(plan));
    let signals = scan(&table, page.as_bytes(), &[]);
    assert_eq!((signals.waiting, signals.num_blocks), (Some(3.0), Some(27_514)));
    bencher.bench(|| scan(&table, divan::black_box(page.as_bytes()), &[]));
}

/// As many models as are kept, as vLLM lists adapters.
#[divan::bench]
fn models_1024(bencher: divan::Bencher<'_, '_>) {
    let model = |n: usize| {
        format!(
            r#"{{"id":"adapter-{n}","object":"model","created":1746639571,"owned_by":"vllm","root":"/loras/{n}","parent":"base","max_model_len":null,"permission":[{{"id":"modelperm-{n}","object":"model_permission","group":null}}]}}"#
        )
    };
    let list = (0..1024).map(model).collect::<Vec<_>>().join(",");
    let text = format!(r#"{{"object":"list","data":[{list}]}}"#);
    assert_eq!(models::parse(text.as_bytes()).map(|models| models.iter().count()), Ok(1024));
    bencher.bench(|| models::parse(divan::black_box(text.as_bytes())));
}
