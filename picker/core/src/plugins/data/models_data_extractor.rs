//! `models-data-extractor`: the models that an endpoint lists.

use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::NoParameters;
use crate::scrape::{MetricsExtractor, SourceKind};

/// Makes lists of models known. The picker reads them when other plugins of the strategy need them.
#[derive(Debug)]
pub struct ModelsDataExtractor;

impl Plugin for ModelsDataExtractor {
    const TYPE: &'static str = "models-data-extractor";
    const TASK: Task = Task::Data;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Makes the models that a server lists readable as endpoint.models in cel-filter and cel-scorer, from the answer to a models-data-source (llm-d: nothing reads them). Without one, servers are asked at /v1/models.";
    const ROLES: &'static [Role] = &[Role::Extractor];
    const SAMPLE: &'static str = "\
plugins:
- type: models-data-source
- type: models-data-extractor
- type: cel-scorer
  parameters: {expression: 'request.model in endpoint.models ? 1.0 : 0.0'}
";
    type Params = NoParameters;

    fn build(_: NoParameters, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { extractor: Some(MetricsExtractor::of(SourceKind::Models)), ..Roles::default() })
    }
}
