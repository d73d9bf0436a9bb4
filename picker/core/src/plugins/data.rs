//! Data layer: plugins that say where the metrics of model servers are, and which of them tell what.

room! {
    core_metrics_extractor::CoreMetricsExtractor,
    metrics_data_source::MetricsDataSource,
}
