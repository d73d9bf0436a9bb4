//! `core-metrics-extractor`: which series of model servers' metrics tell what.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::scrape::{
    CORE_EXTRACTOR, Engine, Figure, MetricsExtractor, Selector, SourceKind, attributes, builtin,
};

/// Parameters of `core-metrics-extractor`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Label by which pods name their engine. Default: `llm-d.ai/engine-type`. The older
    /// `inference.networking.k8s.io/engine-type` is looked at where a pod has not this one.
    engine_label_key: String,
    /// Name of the engine of pods that name none. Default: `vllm`. A server that says nothing of it, and something of
    /// another engine, is one of that.
    default_engine: String,
    /// Engines that the picker does not know, or knows otherwise: an entry takes the place of the known engine of that
    /// name. Known are `vllm`, `sglang`, `trtllm-serve`, `triton-tensorrt-llm` and `triton`. Of `triton` the waiting requests
    /// are read alone: how many it computes it does not tell, so that plugins which look at running requests know nothing of
    /// it, unless an entry names a metric of the backend.
    engine_configs: Vec<EngineConfig>,
}

/// The metrics of one engine. A metric is written as `name` or `name{label=value}`; an empty one is not read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EngineConfig {
    /// Name of the engine, as pods have it in their label.
    name: String,
    /// Metric with the number of waiting requests. Its series are added up.
    #[serde(default)]
    queued_requests_spec: Option<String>,
    /// Metric with the number of requests that are computed. Its series are added up.
    #[serde(default)]
    running_requests_spec: Option<String>,
    /// Metric with the share of the KV cache that is in use, 0 to 1. Of several series it is the mean.
    #[serde(default)]
    kv_usage_spec: Option<String>,
    /// Metric whose labels `running_lora_adapters`, `waiting_lora_adapters` and `max_lora` tell the LoRA adapters, and
    /// whose value is the time of that.
    #[serde(default)]
    lora_spec: Option<String>,
    /// Metric whose labels tell the size of the KV cache.
    #[serde(default)]
    cache_info_spec: Option<String>,
    /// Label of that metric with the tokens per block. Default: `block_size`.
    #[serde(default)]
    cache_block_size_label_name: Option<String>,
    /// Label of that metric with the number of blocks. Default: `num_gpu_blocks`.
    #[serde(default)]
    cache_num_blocks_label_name: Option<String>,
    /// Metric with the tokens per block of the KV cache.
    #[serde(default)]
    cache_block_size_spec: Option<String>,
    /// Metric with the number of blocks of the KV cache. Its series are added up.
    #[serde(default)]
    cache_num_blocks_spec: Option<String>,
    /// Further numbers, which plugins read as attributes of endpoints.
    #[serde(default)]
    custom_metrics: Vec<CustomMetric>,
}

/// A number of the engine's metrics that becomes an attribute of endpoints.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CustomMetric {
    /// Name of the attribute.
    attribute_key: String,
    /// Metric with the number. Of several series that fit, the one with the newest timestamp counts, and of those
    /// without the first.
    metric_spec: String,
}

/// Names the series. The picker reads those of them that other plugins of the strategy need.
#[derive(Debug)]
pub struct CoreMetricsExtractor;

impl Plugin for CoreMetricsExtractor {
    const TYPE: &'static str = CORE_EXTRACTOR;
    const TASK: Task = Task::Data;
    const ORIGIN: Origin = Origin::Gie;
    const ALIASES: &'static [&'static str] = &["model-server-protocol-metrics"];
    const SUMMARY: &'static str = "Says what inference engines call their metrics, and makes further ones attributes of endpoints. Without one, the known engines are told apart by what they say.";
    const ROLES: &'static [Role] = &[Role::Extractor];
    const SAMPLE: &'static str = "\
plugins:
- type: core-metrics-extractor
  parameters:
    engineConfigs:
    - name: my-engine
      queuedRequestsSpec: my_engine_requests{state=waiting}
      runningRequestsSpec: my_engine_requests{state=running}
      kvUsageSpec: my_engine_cache_usage
      customMetrics:
      - {attributeKey: swapped, metricSpec: my_engine_swapped_requests}
- type: queue-scorer
- type: endpoint-attribute-scorer
  parameters: {attributeKey: swapped, algorithm: {type: linear_lower_is_better}}
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let mut engines: Vec<Engine> = Vec::new();
        for (i, config) in params.engine_configs.iter().enumerate() {
            let path = format!("engineConfigs[{i}]");
            if config.name.is_empty() {
                return Err(BuildError::invalid(&format!("{path}.name"), "must not be empty"));
            }
            if engines.iter().any(|earlier| earlier.name == config.name) {
                let message = format!("{:?} is the name of an earlier engine", config.name);
                return Err(BuildError::invalid(&format!("{path}.name"), message));
            }
            let engine = config.engine(&path)?;
            if let Some(known) = builtin::engines().iter().find(|known| known.name == engine.name) {
                warn_of_what_is_lost(known, config, &path, cx);
            }
            engines.push(engine);
        }
        let known = builtin::engines().into_iter();
        let known: Vec<_> = known.filter(|known| engines.iter().all(|own| own.name != known.name)).collect();
        engines.extend(known);
        let default = or(&params.default_engine, builtin::DEFAULT_ENGINE);
        let Some(first) = engines.iter().position(|engine| engine.name == default) else {
            let names = engines.iter().map(|engine| engine.name.as_str());
            let message = format!("there is no engine {default:?}");
            return Err(BuildError::none_of("defaultEngine", message, default, names));
        };
        engines[..=first].rotate_right(1);
        let labels = builtin::labels(or(&params.engine_label_key, builtin::ENGINE_LABEL));
        Ok(Roles {
            extractor: Some(MetricsExtractor { kind: SourceKind::Metrics, labels, engines }),
            ..Roles::default()
        })
    }
}

impl EngineConfig {
    fn engine(&self, path: &str) -> Result<Engine, BuildError> {
        let [block_size, num_blocks] = [
            (&self.cache_block_size_label_name, builtin::CACHE_LABELS[0]),
            (&self.cache_num_blocks_label_name, builtin::CACHE_LABELS[1]),
        ]
        .map(|(label, default)| or(label.as_deref().unwrap_or_default(), default).to_owned());
        let known = [
            ("queuedRequestsSpec", &self.queued_requests_spec, Figure::Waiting),
            ("runningRequestsSpec", &self.running_requests_spec, Figure::Running),
            ("kvUsageSpec", &self.kv_usage_spec, Figure::KvUsage),
            ("loraSpec", &self.lora_spec, Figure::Lora),
            ("cacheInfoSpec", &self.cache_info_spec, Figure::CacheConfig { block_size, num_blocks }),
            ("cacheBlockSizeSpec", &self.cache_block_size_spec, Figure::BlockSize),
            ("cacheNumBlocksSpec", &self.cache_num_blocks_spec, Figure::NumBlocks),
        ];
        let mut engine = Engine { name: self.name.clone(), ..Engine::default() };
        for (field, spec, figure) in known {
            if let Some(spec) = spec.as_deref().filter(|spec| !spec.is_empty()) {
                let field = format!("{path}.{field}");
                let selector = Selector::parse(spec).map_err(|e| BuildError::invalid(&field, e))?;
                engine.known.push((selector, figure));
            }
        }
        for (i, CustomMetric { attribute_key, metric_spec }) in self.custom_metrics.iter().enumerate() {
            let field = |name: &str| format!("{path}.customMetrics[{i}].{name}");
            let wrong = match attribute_key.as_str() {
                "" => Some("must not be empty".to_owned()),
                key if attributes::core(key).is_some() => {
                    Some(format!("{key:?} is an attribute that every engine sets; give it another name"))
                }
                key if engine.custom.iter().any(|(earlier, _)| earlier == key) => {
                    Some(format!("{key:?} is an earlier one; give it another name"))
                }
                _ => None,
            };
            if let Some(message) = wrong {
                return Err(BuildError::invalid(&field("attributeKey"), message));
            }
            let selector =
                Selector::parse(metric_spec).map_err(|e| BuildError::invalid(&field("metricSpec"), e))?;
            engine.custom.push((attribute_key.clone(), selector));
        }
        Ok(engine)
    }
}

/// An entry takes the place of a known engine as a whole, which may surprise whoever only adds to it.
fn warn_of_what_is_lost(known: &Engine, config: &EngineConfig, path: &str, cx: &mut BuildCx<'_>) {
    let known = |wanted: fn(&Figure) -> bool| known.known.iter().any(|(_, figure)| wanted(figure));
    // The size of the cache is told by labels of one series, or by two series.
    let (info, size) = (&config.cache_info_spec, &config.cache_block_size_spec);
    let by_series = size.as_ref().and(config.cache_num_blocks_spec.as_ref());
    let lost: Vec<_> = [
        ("queuedRequestsSpec", &config.queued_requests_spec, known(|f| matches!(f, Figure::Waiting))),
        ("runningRequestsSpec", &config.running_requests_spec, known(|f| matches!(f, Figure::Running))),
        ("kvUsageSpec", &config.kv_usage_spec, known(|f| matches!(f, Figure::KvUsage))),
        ("loraSpec", &config.lora_spec, known(|f| matches!(f, Figure::Lora))),
        ("cacheInfoSpec", info, by_series.is_none() && known(|f| matches!(f, Figure::CacheConfig { .. }))),
        ("cacheBlockSizeSpec", size, info.is_none() && known(|f| matches!(f, Figure::BlockSize))),
        (
            "cacheNumBlocksSpec",
            &config.cache_num_blocks_spec,
            info.is_none() && known(|f| matches!(f, Figure::NumBlocks)),
        ),
    ]
    .into_iter()
    .filter_map(|(field, spec, was_read)| (spec.is_none() && was_read).then_some(field))
    .collect();
    if !lost.is_empty() {
        let name = &config.name;
        let lost = lost.join(", ");
        cx.warn(
            path,
            format!(
                "takes the place of the known engine {name}, of which this is no longer read: {lost}; write them \
                 too, or \"\" to do without"
            ),
        );
    }
}

/// `text`, or what is meant when it is empty.
fn or<'a>(text: &'a str, default: &'a str) -> &'a str {
    if text.is_empty() { default } else { text }
}

#[cfg(test)]
mod tests;
