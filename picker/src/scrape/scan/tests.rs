use std::sync::Arc;

use picker_core::column::Column;
use picker_core::scrape::SourcePlan;
use picker_core::view::{LoraState, Signals};

use super::*;
use crate::scrape::table::Hint;

mod adapters;
mod cache;
mod labels;
mod plan;
mod property;
mod sources;

/// A table of all that is known of all engines.
fn everything() -> Arc<Table> {
    Arc::new(Table::new(SourcePlan::of(&[Column::CACHE_CONFIG, Column::LORA])))
}

/// What a pod's label names.
fn hint(table: &Table, engine: Option<&str>) -> Hint {
    let label = |engine: &str| ("llm-d.ai/engine-type".to_owned(), engine.to_owned());
    table.hint(&engine.map(label).into_iter().collect())
}

const VLLM: &str = r#"# HELP python_gc_objects_collected_total Objects collected during gc
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation="0"} 9847.0
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 12.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 3.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 2.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 0.4375
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="16",cache_dtype="auto",num_cpu_blocks="None",num_gpu_blocks="27514",engine="0"} 1.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="m"} 0.0
vllm:lora_requests_info{max_lora="4",running_lora_adapters="sql,chat",waiting_lora_adapters="code"} 1.7600002e+09
vllm:lora_requests_info{max_lora="4",running_lora_adapters="sql",waiting_lora_adapters=""} 1.7600001e+09
"#;

fn lora(max: u32, running: &[&str], waiting: &[&str]) -> Option<Arc<LoraState>> {
    let names = |list: &[&str]| list.iter().map(|name| Box::from(*name)).collect();
    Some(Arc::new(LoraState { max, running: names(running), waiting: names(waiting) }))
}

fn vllm() -> Signals {
    Signals {
        waiting: Some(3.0),
        running: Some(12.0),
        kv_usage: Some(0.4375),
        block_size: Some(16),
        num_blocks: Some(27514),
        cache_tokens: None,
        lora: lora(4, &["sql", "chat"], &["code"]),
        models: None,
        others: Vec::new(),
    }
}

fn of(text: &str) -> Signals {
    hinted(text, None)
}

fn hinted(text: &str, engine: Option<&str>) -> Signals {
    let table = everything();
    scan(&table, text.as_bytes(), &hint(&table, engine))
}

#[test]
fn vllm_says_everything() {
    assert_eq!(of(VLLM), vllm());
}

#[test]
fn types_and_help_are_not_needed() {
    let bare: String = VLLM.lines().filter(|l| !l.starts_with('#')).flat_map(|l| [l, "\n"]).collect();
    assert_eq!(of(&bare), vllm());
}

#[test]
fn a_text_may_come_in_any_chunks() {
    for size in [1, 2, 7, 64, 1000] {
        let mut scanner = Scanner::new(everything());
        VLLM.as_bytes().chunks(size).for_each(|chunk| scanner.feed(chunk));
        assert_eq!(scanner.finish(&[]), vllm(), "in chunks of {size}");
        // And nothing is left for the next one.
        assert_eq!(scanner.finish(&[]), Signals::default());
    }
}

#[test]
fn a_line_beyond_reason_is_passed_over_and_not_kept() {
    for (length, seen) in [(LONGEST_LINE, Some(2.0)), (LONGEST_LINE + 1, None)] {
        let line = format!("vllm:num_requests_waiting {:<width$}", 2, width = length - 26);
        assert_eq!(line.len(), length);
        let text = format!("{line}\nvllm:num_requests_running 1\n{line}");
        // The last line is one more series of the same figure.
        let waiting = seen.map(|seen| 2.0 * seen);
        let expected = Signals { waiting, running: Some(1.0), ..Signals::default() };
        for size in [1000, LONGEST_LINE, text.len()] {
            let mut scanner = Scanner::new(everything());
            for chunk in text.as_bytes().chunks(size) {
                scanner.feed(chunk);
                assert!(scanner.partial.len() <= LONGEST_LINE);
            }
            assert_eq!(scanner.finish(&[]), expected, "{length} in chunks of {size}");
            assert!(scanner.partial.capacity() <= SPARE, "{}", scanner.partial.capacity());
        }
    }
}

#[test]
fn more_adapters_than_a_server_can_have_are_unknown() {
    let info = |time: u32, count: usize| {
        let names = (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        format!("vllm:lora_requests_info{{max_lora=\"4\",running_lora_adapters=\"{names}\"}} {time}\n")
    };
    let running = |text: &str| of(text).lora.map(|lora| lora.running.len());
    assert_eq!(running(&info(1, 1024)), Some(1024));
    assert_eq!(running(&info(1, 1025)), None);
    // The newest counts, in any order.
    assert_eq!(running(&(info(1, 2) + &info(2, 1025))), None);
    assert_eq!(running(&(info(2, 1025) + &info(1, 2))), None);
}

#[test]
fn old_vllm_calls_its_cache_usage_otherwise() {
    let text =
        "vllm:num_requests_waiting{model_name=\"m\"} 0.0\nvllm:gpu_cache_usage_perc{model_name=\"m\"} 0.25\n";
    assert_eq!(of(text), Signals { waiting: Some(0.0), kv_usage: Some(0.25), ..Signals::default() });
}

#[test]
fn sglang() {
    let text = r#"# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{engine_type="unified",model_name="qwen",pp_rank="0",tp_rank="0"} 7.0
sglang:num_running_reqs{engine_type="unified",model_name="qwen",pp_rank="0",tp_rank="1"} 7.0
sglang:num_queue_reqs{model_name="qwen",tp_rank="0"} 2.0
sglang:token_usage{model_name="qwen",tp_rank="0"} 0.125
sglang:cache_config_info{page_size="64",num_pages="4096"} 1.0
sglang:gen_throughput{model_name="qwen"} 812.4
"#;
    let expected = Signals {
        waiting: Some(2.0),
        running: Some(7.0),
        kv_usage: Some(0.125),
        block_size: Some(64),
        num_blocks: Some(4096),
        cache_tokens: None,
        lora: None,
        models: None,
        others: Vec::new(),
    };
    assert_eq!(of(text), expected);
}

#[test]
fn trtllm_serve() {
    let text = "trtllm_num_requests_waiting 4\ntrtllm_num_requests_running 9\ntrtllm_kv_cache_utilization 0.5\n\
                trtllm_kv_cache_tokens_per_block 32\ntrtllm_kv_cache_max_blocks 1200\ntrtllm_e2e_request_latency_seconds_sum 7\n";
    let expected = Signals {
        waiting: Some(4.0),
        running: Some(9.0),
        kv_usage: Some(0.5),
        block_size: Some(32),
        num_blocks: Some(1200),
        cache_tokens: None,
        lora: None,
        models: None,
        others: Vec::new(),
    };
    assert_eq!(of(text), expected);
}

const TRITON: &str = r#"nv_inference_pending_request_count{model="ensemble",version="1"} 5
nv_inference_pending_request_count{model="tensorrt_llm",version="1"} 1
nv_inference_exec_count{model="ensemble",version="1"} 123456
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="waiting",version="1"} 2
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="scheduled",version="1"} 8
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="max",version="1"} 512
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="tensorrt_llm",version="1"} 0.75
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="tokens_per",model="tensorrt_llm",version="1"} 64
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="tensorrt_llm",version="1"} 6239
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="used",model="tensorrt_llm",version="1"} 3
"#;

#[test]
fn triton_with_tensorrt_llm_is_preferred_to_triton_unless_the_pod_says_otherwise() {
    let tensorrt = Signals {
        waiting: Some(2.0),
        running: Some(8.0),
        kv_usage: Some(0.75),
        block_size: Some(64),
        num_blocks: Some(6239),
        cache_tokens: None,
        lora: None,
        models: None,
        others: Vec::new(),
    };
    assert_eq!(of(TRITON), tensorrt);
    assert_eq!(hinted(TRITON, Some("triton-tensorrt-llm")), tensorrt);
    // What ran is a counter there, and no number of running requests.
    let core = Signals { waiting: Some(6.0), ..Signals::default() };
    assert_eq!(hinted(TRITON, Some("triton")), core);
    // A pod that names the wrong engine is still read.
    assert_eq!(hinted(TRITON, Some("vllm")), tensorrt);
}

#[test]
fn ranks_of_one_server_add_up_and_usage_is_their_mean() {
    let text = r#"vllm:num_requests_waiting{engine="0"} 3
vllm:num_requests_waiting{engine="1"} 4
vllm:num_requests_running{engine="0"} 10
vllm:num_requests_running{engine="1"} 20
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:kv_cache_usage_perc{engine="1"} 0.75
vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="100"} 1
vllm:cache_config_info{block_size="16",engine="1",num_gpu_blocks="200"} 1
"#;
    let expected = Signals {
        waiting: Some(7.0),
        running: Some(30.0),
        kv_usage: Some(0.5),
        block_size: Some(16),
        num_blocks: Some(300),
        cache_tokens: None,
        lora: None,
        models: None,
        others: Vec::new(),
    };
    assert_eq!(of(text), expected);
}

#[test]
fn values_in_every_form() {
    let value = |text: &str| of(&format!("vllm:num_requests_waiting{{a=\"b\"}} {text}")).waiting;
    assert_eq!(value("12"), Some(12.0));
    assert_eq!(value("1.2e+01"), Some(12.0));
    assert_eq!(value("12 1760000000123"), Some(12.0));
    assert_eq!(value("12 # {trace_id=\"x\"} 1.0"), Some(12.0));
    assert_eq!(value("  \t12\r"), Some(12.0));
    for unusable in ["NaN", "+Inf", "-Inf", "-1", "", "many", "0x10"] {
        assert_eq!(value(unusable), None, "{unusable}");
    }
}

#[test]
fn labels_in_every_form() {
    let text = "  nv_trt_llm_request_metrics  { model = \"a,}\\\"\\\\\\n{\" , request_type=\"waiting\" , }  6\n\
                nv_trt_llm_request_metrics{request_type=\"scheduled\",model=\"}\"}1\n";
    assert_eq!(of(text), Signals { waiting: Some(6.0), running: Some(1.0), ..Signals::default() });
    let adapters =
        "vllm:lora_requests_info{running_lora_adapters=\" a\\\\b , c\\\"d ,,\",max_lora=\"2\"} 1\n";
    assert_eq!(of(adapters).lora, lora(2, &["a\\b", "c\"d"], &[]));
}

#[test]
fn broken_lines_are_passed_over() {
    let text = "vllm:num_requests_waiting{a=\"b\nvllm:num_requests_waiting{a=\"b\\\nvllm:num_requests_waiting{a=b} x\n\
                vllm:num_requests_waiting\nvllm:num_requests_waiting{\nvllm:num_requests_running 4";
    assert_eq!(of(text), Signals { running: Some(4.0), ..Signals::default() });
}

#[test]
fn behind_a_hint_the_engines_keep_their_order() {
    let text = "sglang:num_queue_reqs 2\nvllm:num_requests_waiting 1\ntrtllm_num_requests_waiting 3\n";
    for (hint, waiting) in [
        (None, 1.0),
        (Some("triton"), 1.0),
        (Some("sglang"), 2.0),
        (Some("trtllm-serve"), 3.0),
        (Some("unheard-of"), 1.0),
    ] {
        let expected = Signals { waiting: Some(waiting), ..Signals::default() };
        assert_eq!(hinted(text, hint), expected, "{hint:?}");
    }
}
