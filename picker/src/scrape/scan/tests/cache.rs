//! The KV cache of a server: the unit in which prefixes are found, and how much is kept.

use super::*;

fn cache(text: &str) -> (Option<u32>, Option<u32>, Option<u64>) {
    let Signals { block_size, num_blocks, cache_tokens, .. } = of(text);
    (block_size, num_blocks, cache_tokens)
}

fn vllm_info(more: &str) -> String {
    format!("vllm:cache_config_info{{engine=\"0\",{more}}} 1.0\n")
}

#[test]
fn hybrid_models_match_prefixes_in_smaller_units_than_blocks() {
    let info = vllm_info(
        r#"block_size="1552",kv_cache_size_tokens="111238",mamba_block_size="16",num_gpu_blocks="86",prefix_match_unit="16""#,
    );
    assert_eq!(cache(&info), (Some(16), Some(86), Some(111_238)));
    // Without the number of tokens it is what the blocks hold, not the units.
    let info = vllm_info(r#"block_size="1552",num_gpu_blocks="86",prefix_match_unit="16""#);
    assert_eq!(cache(&info), (Some(16), Some(86), Some(133_472)));
    let info = vllm_info(
        r#"block_size="32",kv_cache_size_tokens="None",num_gpu_blocks="86",prefix_match_unit="None""#,
    );
    assert_eq!(cache(&info), (Some(32), Some(86), None));
}

#[test]
fn groups_of_layers_with_other_blocks_have_the_tokens_that_are_told() {
    let info = |engine: u32| {
        format!(
            "vllm:cache_config_info{{block_size=\"4\",engine=\"{engine}\",kv_cache_size_tokens=\"150000\",num_gpu_blocks=\"9000\"}} 1\n"
        )
    };
    assert_eq!(cache(&info(0)), (Some(4), Some(9000), Some(150_000)));
    assert_eq!(cache(&(info(0) + &info(1))), (Some(4), Some(18_000), Some(300_000)));
    // As old as an engine may be.
    assert_eq!(cache(&vllm_info(r#"block_size="16",num_gpu_blocks="10""#)), (Some(16), Some(10), None));
}

#[test]
fn a_tier_below_the_accelerator_has_a_copy_of_what_is_above() {
    let info = vllm_info(r#"block_size="16",num_gpu_blocks="10""#);
    for (tier, expected) in [
        ("vllm:kv_offload_cpu_capacity_tokens{engine=\"0\"} 5000\n", 5000),
        ("vllm:kv_offload_cpu_capacity_tokens{engine=\"0\"} 100\n", 160),
        ("vllm:kv_offload_config_info{cpu_capacity_tokens_at_max_len=\"7000\",engine=\"0\"} 1\n", 7000),
    ] {
        assert_eq!(cache(&(info.clone() + tier)), (Some(16), Some(10), Some(expected)), "{tier}");
    }
    let sglang = r#"sglang:max_total_num_tokens{tp_rank="0"} 6000
sglang:max_total_num_tokens{tp_rank="1"} 6000
sglang:hicache_host_total_tokens{tp_rank="0"} 64000
"#;
    assert_eq!(cache(sglang), (None, None, Some(64_000)));
    assert_eq!(
        cache(
            "sglang:max_total_num_tokens{dp_rank=\"0\"} 6000\nsglang:max_total_num_tokens{dp_rank=\"1\"} 5000\n"
        ),
        (None, None, Some(11_000))
    );
    // No number that a page can have breaks it.
    assert_eq!(cache("sglang:max_total_num_tokens 1e300\n"), (None, None, Some(u64::MAX)));
}
