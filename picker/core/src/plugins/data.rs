//! Data layer: plugins that say where data about endpoints is, and which of it tells what.

mod page;

room! {
    core_metrics_extractor::CoreMetricsExtractor,
    dcgm_data_source::DcgmDataSource,
    dcgm_extractor::DcgmExtractor,
    metrics_data_source::MetricsDataSource,
    models_data_extractor::ModelsDataExtractor,
    models_data_source::ModelsDataSource,
    multicluster_metrics_data_source::MulticlusterMetricsDataSource,
    multicluster_metrics_extractor::MulticlusterMetricsExtractor,
}
