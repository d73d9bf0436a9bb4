//! `dcgm-extractor`: how busy the accelerators of an endpoint are.

use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::plugins::NoParameters;
use crate::scrape::{MetricsExtractor, SourceKind};

/// Names the series and the attribute. The picker reads it when other plugins of the strategy need it.
#[derive(Debug)]
pub struct DcgmExtractor;

impl Plugin for DcgmExtractor {
    const TYPE: &'static str = "dcgm-extractor";
    const TASK: Task = Task::Data;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Makes how busy an endpoint's accelerators are its attribute GPUUtilization, 0 to 1, from the page of a dcgm-data-source. Without one, the exporter is looked for in the pod, on port 9400.";
    const FORMULA: &'static str = "max(DCGM_FI_DEV_GPU_UTIL) / 100 over the series whose labels pod and namespace are those of the endpoint, or that have none. A value below 0 or above 100 is none.";
    const ROLES: &'static [Role] = &[Role::Extractor];
    const SAMPLE: &'static str = "\
plugins:
- type: dcgm-extractor
- type: endpoint-attribute-filter
  parameters:
    attribute: GPUUtilization
    producer: dcgm-extractor
    fallbackOnEmpty: true
    algorithm:
      threshold: {operator: LessThanOrEqual, value: 0.9}
- type: queue-scorer
";
    type Params = NoParameters;

    fn build(_: NoParameters, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { extractor: Some(MetricsExtractor::of(SourceKind::Dcgm)), ..Roles::default() })
    }
}
