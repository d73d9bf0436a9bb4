//! Pages of others than model servers: of accelerators, and of the endpoint pickers of other clusters.

use picker_core::column::{Column, Columns};
use picker_core::scrape::attributes::{GPU_UTILIZATION, POOL_KV_USAGE, POOL_QUEUE};
use picker_core::scrape::{MetricsExtractor, MetricsSource, SourceKind, SourcePlan};
use proptest::prelude::*;

use super::*;
use crate::scrape::engine::Pod;

/// What the source of `kind` tells by these attributes, each in a column of its own, of a page that is read for pod `a` of
/// namespace `llm`.
fn told(kind: SourceKind, attributes: &[&str], text: &str) -> Vec<Option<f32>> {
    let mut columns = Columns::default();
    let columns: Vec<Column> = attributes.iter().map(|name| columns.intern(name).unwrap()).collect();
    let wanted: Vec<_> = attributes.iter().copied().zip(columns.iter().copied()).collect();
    let extractors = vec![MetricsExtractor::of(kind).plan(&[], &wanted)];
    let table = Arc::new(Table::new(SourcePlan { source: MetricsSource::of(kind), extractors }));
    let pod = Pod { namespace: "llm".into(), name: "a".into() };
    let mut scanner = Scanner::of_pod(table.clone(), pod);
    text.as_bytes().chunks(11).for_each(|chunk| scanner.feed(chunk));
    let found = scanner.finish(&[]);
    assert_eq!(Signals { others: vec![], ..found.clone() }, Signals::default());
    // The pod stays when the table is another.
    scanner.want(table);
    scanner.feed(text.as_bytes());
    assert_eq!(scanner.finish(&[]), found);
    let value =
        |column: &Column| found.others.iter().find(|(other, _)| other == column).map(|(_, value)| *value);
    columns.iter().map(value).collect()
}

fn busy(text: &str) -> Option<f32> {
    told(SourceKind::Dcgm, &[GPU_UTILIZATION], text)[0]
}

/// As dcgm-exporter 4 writes it, once with the pods of Kubernetes and once without.
#[test]
fn the_busiest_accelerator_of_a_pod_counts() {
    let page = "\
# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).
# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{gpu=\"0\",UUID=\"GPU-af2c\",device=\"nvidia0\",modelName=\"NVIDIA H100\",Hostname=\"n1\",container=\"vllm\",namespace=\"llm\",pod=\"a\"} 37
DCGM_FI_DEV_GPU_UTIL{gpu=\"1\",UUID=\"GPU-7464\",device=\"nvidia1\",modelName=\"NVIDIA H100\",Hostname=\"n1\",container=\"vllm\",namespace=\"llm\",pod=\"a\"} 62
DCGM_FI_DEV_GPU_UTIL{gpu=\"2\",UUID=\"GPU-9314\",device=\"nvidia2\",modelName=\"NVIDIA H100\",Hostname=\"n1\",container=\"vllm\",namespace=\"llm\",pod=\"b\"} 99
# HELP DCGM_FI_DEV_MEM_COPY_UTIL Memory utilization (in %).
DCGM_FI_DEV_MEM_COPY_UTIL{gpu=\"0\",namespace=\"llm\",pod=\"a\"} 88
";
    assert_eq!(busy(page), Some(0.62));
    assert_eq!(busy("DCGM_FI_DEV_GPU_UTIL{gpu=\"0\"} 12\nDCGM_FI_DEV_GPU_UTIL{gpu=\"1\"} 100\n"), Some(1.0));
}

/// Reports of dcgm-exporter: pods that are told by empty labels, or not at all, partitioned accelerators, of which there is
/// no utilization, and the numbers that stand for none (blank values of 32 and 64 bits, and of floating point).
#[test]
fn what_an_exporter_does_not_know_is_unknown() {
    let of = |labels: &str, value: &str| busy(&format!("DCGM_FI_DEV_GPU_UTIL{{{labels}}} {value}\n"));
    assert_eq!(of(r#"gpu="0",container="",namespace="",pod="""#, "50"), Some(0.5));
    assert_eq!(of(r#"gpu="0",namespace="llm",pod="b""#, "50"), None);
    assert_eq!(of(r#"gpu="0",namespace="other",pod="a""#, "50"), None);
    for value in [
        "1980",
        "808334905",
        "4294967295",
        "2147483632",
        "9223372036854775794",
        "140737488355328.0",
        "NaN",
        "+Inf",
        "-1",
        "101",
        "N/A",
        "",
    ] {
        assert_eq!(of("gpu=\"0\"", value), None, "{value}");
    }
    assert_eq!(busy("DCGM_FI_PROF_GR_ENGINE_ACTIVE{GPU_I_ID=\"1\"} 0.5\n"), None);
    assert_eq!(busy("<html>DCGM_FI_DEV_GPU_UTIL 5</html>\n"), None);
    assert_eq!(of("gpu=\"0\"", "0"), Some(0.0));
}

#[test]
fn the_figures_of_a_pool_are_the_newest_of_their_names() {
    let page = "\
llm_d_epp_average_queue_size{name=\"chat\"} 4.5
llm_d_epp_average_kv_cache_utilization{name=\"chat\"} 0.25
llm_d_epp_average_queue_size{name=\"other\"} 9
";
    let of = |text: &str| told(SourceKind::Multicluster, &[POOL_QUEUE, POOL_KV_USAGE], text);
    assert_eq!(of(page), [Some(4.5), Some(0.25)]);
    let timed = "llm_d_epp_average_queue_size 1 1000\nllm_d_epp_average_queue_size{a=\"b\"} 2 3000\n";
    assert_eq!(of(timed), [Some(2.0), None]);
    assert_eq!(of("vllm:num_requests_waiting 3\n"), [None, None]);
}

/// The published formula, word by word: the highest of the samples that are of the pod, or of no pod, divided by 100.
fn restated(samples: &[(Option<&str>, f64)]) -> Option<f32> {
    let own = samples.iter().filter(|(pod, _)| pod.is_none_or(|pod| pod.is_empty() || pod == "a"));
    let values = own.map(|(_, value)| *value).filter(|value| (0.0..=100.0).contains(value));
    values.reduce(f64::max).map(|most| (most / 100.0) as f32)
}

proptest! {
    #[test]
    fn utilization_agrees_with_its_formula(
        samples in prop::collection::vec((
            prop::option::of(prop::sample::select(vec!["a", "b", "aa", ""])),
            prop_oneof![8 => 0.0..=100.0_f64, 1 => Just(-3.0), 1 => Just(1e15), 1 => Just(f64::NAN)],
        ), 0..8),
    ) {
        let line = |(pod, value): &(Option<&str>, f64)| {
            let pod = pod.map(|pod| format!(",pod=\"{pod}\"")).unwrap_or_default();
            format!("DCGM_FI_DEV_GPU_UTIL{{gpu=\"0\"{pod}}} {value}\n")
        };
        let found = busy(&samples.iter().map(line).collect::<String>());
        let expected = restated(&samples);
        prop_assert_eq!(found.is_some(), expected.is_some());
        prop_assert!((found.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() <= 1e-5);
    }
}
