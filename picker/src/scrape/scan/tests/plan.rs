//! Scans for what a strategy asks for: golden pages, and whatever plan and page there may be.

use std::collections::BTreeSet;

use picker_core::column::Columns;
use picker_core::compile::compile;
use picker_core::config::Scope;
use picker_core::scrape::{EnginePlan, ExtractorPlan, Figure, Selector, SourcePlan};
use picker_core::store::StateStore;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// The table of a strategy with these custom metrics, all of which it reads; columns in that order from `FIRST` on.
fn table(extractors: &[Value]) -> Arc<Table> {
    let mut plugins = extractors.to_vec();
    for extractor in extractors {
        for engine in extractor["parameters"]["engineConfigs"].as_array().unwrap() {
            for metric in engine["customMetrics"].as_array().unwrap() {
                let name = format!("{}-{}", extractor["name"], metric["attributeKey"]);
                plugins.push(json!({"type": "endpoint-attribute-scorer", "name": name, "parameters": {
                    "attributeKey": metric["attributeKey"],
                    "producer": extractor["name"],
                    "algorithm": {"type": "linear_lower_is_better"},
                }}));
            }
        }
    }
    let compiled = compile(&json!({"plugins": plugins}), Scope::Resource, &StateStore::default());
    let strategy = compiled.unwrap_or_else(|e| panic!("{e}")).strategy;
    Arc::new(Table::new(strategy.scrape.unwrap().sources[0].clone()))
}

fn extractor(name: &str, engine: &str, metrics: &[(&str, &str)]) -> Value {
    let metric = |&(key, spec): &(&str, &str)| json!({"attributeKey": key, "metricSpec": spec});
    let metrics: Vec<_> = metrics.iter().map(metric).collect();
    json!({"type": "core-metrics-extractor", "name": name, "parameters": {"engineConfigs": [{
        "name": engine, "queuedRequestsSpec": format!("{engine}_waiting"), "customMetrics": metrics,
    }]}})
}

/// The columns of the first strategy of a process that are its own.
fn column(n: usize) -> Column {
    let mut columns = Columns::default();
    (0..=n).map(|n| columns.intern(&n.to_string()).unwrap()).last().unwrap()
}

#[test]
fn what_a_strategy_does_not_read_is_not_there() {
    let table = Arc::new(Table::new(SourcePlan::of(&[])));
    let shown = Signals { block_size: None, num_blocks: None, lora: None, ..vllm() };
    assert_eq!(scan(&table, VLLM.as_bytes(), &[]), shown);
    let table = Arc::new(Table::new(SourcePlan::of(&[Column::LORA])));
    assert_eq!(scan(&table, VLLM.as_bytes(), &[]), Signals { block_size: None, num_blocks: None, ..vllm() });
    let nothing = Arc::new(Table::new(SourcePlan::default()));
    assert_eq!(scan(&nothing, VLLM.as_bytes(), &[]), Signals::default());
}

#[test]
fn custom_metrics_are_numbers_in_columns() {
    let metrics = [
        ("depth", "own_depth{tier=gold}"),
        ("heat", "own_heat"),
        ("rate", "own_rate"),
        ("absent", "own_absent"),
        ("queue", "own_waiting"),
    ];
    let table = table(&[extractor("x", "own", &metrics)]);
    let text = r#"own_waiting{rank="0"} 2
own_waiting{rank="1"} 3
own_depth{tier="silver"} 7
own_depth{a="b",tier="gold"} 8
own_depth{tier="gold",c="d"} 9
own_depth{tp_rank="1",tier="gold"} 10 99
own_heat -1.5
own_rate 1 1000
own_rate 2 3000
own_rate NaN 9000
own_rate 3 2000 # {trace_id="x"} 5
own_depths{tier="gold"} 1
own_dept{tier="gold"} 1
"#;
    // Numbers are neither summed nor averaged: the newest, else the first. The others are as ever.
    let others = [(column(0), 8.0), (column(1), -1.5), (column(2), 2.0), (column(4), 2.0)];
    let mut found = scan(&table, text.as_bytes(), &[]);
    found.others.sort_unstable_by_key(|(column, _)| *column);
    assert_eq!(found, Signals { waiting: Some(5.0), others: others.into(), ..Signals::default() });
}

#[test]
fn an_engine_of_its_own_is_recognised_or_named() {
    let table = table(&[extractor("x", "own", &[("depth", "depth")])]);
    let vllm = Signals { waiting: Some(1.0), ..Signals::default() };
    let own = Signals { waiting: Some(2.0), others: vec![(column(0), 4.0)], ..Signals::default() };
    let page = "vllm:num_requests_waiting 1\nown_waiting 2\ndepth 4\n";
    let scan = |page: &str, engine| scan(&table, page.as_bytes(), &hint(&table, engine));
    // vLLM is the default engine, and so before it.
    assert_eq!((scan(page, None), scan(page, Some("own"))), (vllm, own.clone()));
    assert_eq!(scan("own_waiting 2\ndepth 4\n", Some("vllm")), own);
}

#[test]
fn extractors_do_not_disturb_each_other() {
    let table = table(&[
        extractor("x", "vllm", &[("depth", "x_depth")]),
        extractor("y", "own", &[("depth", "y_depth")]),
    ]);
    let page = "vllm_waiting 1\nown_waiting 2\nx_depth 3\ny_depth 4\n";
    let named = |engine| scan(&table, page.as_bytes(), &hint(&table, Some(engine)));
    // The first has no engine of that name, and the second no other that says anything.
    let both = vec![(column(0), 3.0), (column(1), 4.0)];
    assert_eq!(named("own"), Signals { waiting: Some(1.0), others: both, ..Signals::default() });
    assert_eq!(hint(&table, Some("own")).to_vec(), [None, Some("own".into())]);
    // What the first doesn't say, the second may.
    let second = scan(&table, b"own_waiting 2\ny_depth 4\n", &[]);
    assert_eq!(second, Signals { waiting: Some(2.0), others: vec![(column(1), 4.0)], ..Signals::default() });
}

const NAMES: [&str; 6] = ["a", "ab", "ba", "a:b_c", "vllm:num_requests_waiting", "_"];

fn selector() -> impl Strategy<Value = Selector> {
    let label = (prop_oneof![Just("x"), Just("y")], prop_oneof![Just("1"), Just("2")]);
    (0..NAMES.len(), vec(label, 0..2)).prop_map(|(name, labels)| Selector::of(NAMES[name], &labels))
}

proptest! {
    /// The first series that fits is found for each column, whatever else is wanted and written.
    #[test]
    fn each_number_is_found_as_by_looking_at_every_line(
        wanted in vec(selector(), 1..5),
        lines in vec((selector(), 0..100_i32), 0..20),
    ) {
        let series = wanted.iter().enumerate().map(|(n, s)| (s.clone(), Figure::Number(column(n)))).collect();
        let engine = EnginePlan { name: "own".to_owned(), series };
        let extractor = ExtractorPlan { labels: Vec::new(), engines: vec![engine] };
        let plan = SourcePlan { extractors: vec![extractor], ..SourcePlan::default() };
        let table = Arc::new(Table::new(plan));
        let text: String = lines.iter().map(|(selector, value)| format!("{selector} {value}\n")).collect();
        let found = scan(&table, text.as_bytes(), &[]);

        let fits = |wanted: &Selector, line: &Selector| {
            // Of a label that stands there twice, the first counts.
            let of = |name: &String| line.labels.iter().find(|(n, _)| n == name).map(|(_, v)| v);
            wanted.name == line.name && wanted.labels.iter().all(|(name, value)| of(name) == Some(value))
        };
        let expected: BTreeSet<_> = wanted
            .iter()
            .enumerate()
            .filter_map(|(n, wanted)| {
                let (_, value) = lines.iter().find(|(line, _)| fits(wanted, line))?;
                Some((column(n), *value))
            })
            .collect();
        let others: BTreeSet<_> = found.others.iter().map(|(column, value)| (*column, *value as i32)).collect();
        prop_assert_eq!(others, expected);
        prop_assert_eq!(Signals { others: Vec::new(), ..found }, Signals::default());
    }
}
