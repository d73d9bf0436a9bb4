//! `always-disagg-multimodal-decider`: requests with images, audio or video are worth an encode server.

use std::sync::Arc;

use crate::ask::Ask;
use crate::needs::Needs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::NoParameters;
use crate::role::Decider;

/// Says yes to requests with images, audio or video.
#[derive(Debug)]
pub struct AlwaysDisaggMultimodalDecider;

impl Plugin for AlwaysDisaggMultimodalDecider {
    const TYPE: &'static str = "always-disagg-multimodal-decider";
    const TASK: Task = Task::Disaggregation;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Lets encode servers work for requests whose messages have images, audio or video: content parts of a \
         type such as image_url, input_audio or video_url.";
    const ROLES: &'static [Role] = &[Role::Decider];
    const SAMPLE: &'static str = "\
plugins:
- type: always-disagg-multimodal-decider
- type: disagg-profile-handler
  parameters:
    deciders: {encode: always-disagg-multimodal-decider}
- type: decode-filter
- type: encode-filter
- type: queue-scorer
schedulingProfiles:
- name: decode
  plugins: [{pluginRef: decode-filter}, {pluginRef: queue-scorer}]
- name: encode
  plugins: [{pluginRef: encode-filter}, {pluginRef: queue-scorer}]
";
    type Params = NoParameters;

    fn build(_: NoParameters, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { decider: Some(Arc::new(Self)), needs: Needs::BODY, ..Roles::default() })
    }
}

impl Decider for AlwaysDisaggMultimodalDecider {
    fn decide(&self, ask: &Ask<'_>) -> bool {
        ask.request.is_multimodal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Content, Request};
    use crate::testing::{Instance, unknown};

    #[test]
    fn says_yes_to_media_and_no_to_text() {
        let instance = Instance::new(AlwaysDisaggMultimodalDecider::TYPE, serde_json::json!({})).unwrap();
        let decides = |multimodal: bool| {
            let media = multimodal.then_some(0..0).into_iter().collect();
            let content = Content { media, ..Content::default() };
            let (request, view) = (Request { content, ..Request::default() }, unknown(1));
            instance.roles.decider.as_ref().unwrap().decide(&instance.ask(&request, &view, &[]))
        };
        assert_eq!([decides(true), decides(false)], [true, false]);
        assert_eq!(instance.roles.needs, Needs::BODY);
    }
}
