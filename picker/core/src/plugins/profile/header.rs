//! `header-profile-handler`: the client names the profile.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::refusal::{Refusal, RefusalKind};
use crate::request::header;
use crate::role::{BoundHandler, Next, ProfileHandler};

#[cfg(test)]
mod tests;

/// The most characters of an unknown name that are said back.
const MAX_SAID: usize = 64;

/// Parameters of `header-profile-handler`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// The request header with the name of the profile. Upper and lower case are the same.
    header_name: String,
    /// The profile of requests without that header. It must exist, unless there is one profile alone: that one runs for
    /// every request, whatever the header says.
    default_profile: String,
}

const HEADER: &str = "EPP-Profile";
const DEFAULT_PROFILE: &str = "decode";

impl Default for Params {
    fn default() -> Self {
        Self { header_name: HEADER.to_owned(), default_profile: DEFAULT_PROFILE.to_owned() }
    }
}

/// Runs the profile that a header names.
#[derive(Debug)]
pub struct HeaderProfileHandler {
    /// In lower case.
    header: String,
    /// Position of the profile of requests without the header.
    default: usize,
}

impl Plugin for HeaderProfileHandler {
    const TYPE: &'static str = "header-profile-handler";
    const TASK: Task = Task::Choice;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Runs the one scheduling profile that a request header names, or the default one. A request that names a \
         profile that does not exist is refused with 400 (llm-d: 429), and not told which there are. A single profile runs \
         whatever the header says.";
    const ROLES: &'static [Role] = &[Role::ProfileHandler];
    const SAMPLE: &'static str = "\
plugins:
- type: header-profile-handler
  parameters: {headerName: EPP-Profile, defaultProfile: decode}
- type: decode-filter
- type: prefill-filter
- type: queue-scorer
schedulingProfiles:
- name: decode
  plugins: [{pluginRef: decode-filter}, {pluginRef: queue-scorer}]
- name: prefill
  plugins: [{pluginRef: prefill-filter}, {pluginRef: queue-scorer}]
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let header = cx.or_default("headerName", params.header_name, HEADER.to_owned());
        let header = header::name(&header).map_err(|message| BuildError::invalid("headerName", message))?;
        let default = if cx.has_one_profile() {
            0
        } else {
            let name = cx.or_default("defaultProfile", params.default_profile, DEFAULT_PROFILE.to_owned());
            cx.profile("defaultProfile", &name)?
        };
        Ok(Roles { profile_handler: Some(Arc::new(Self { header, default })), ..Roles::default() })
    }
}

impl ProfileHandler for HeaderProfileHandler {
    fn bind(&self, names: &[&str]) -> Result<Arc<dyn BoundHandler>, String> {
        let names = names.iter().map(|&name| name.into()).collect();
        Ok(Arc::new(Bound { header: self.header.clone(), default: self.default, names }))
    }
}

#[derive(Debug)]
struct Bound {
    header: String,
    default: usize,
    names: Box<[Box<str>]>,
}

impl BoundHandler for Bound {
    fn next(&self, ask: &Ask<'_>) -> Next {
        if !ask.done.is_empty() {
            return Next::Done { primary: 0 };
        }
        let named = ask.request.headers.get(&self.header).unwrap_or_default().trim_ascii();
        if named.is_empty() || self.names.len() == 1 {
            return Next::Run(self.default);
        }
        match self.names.iter().position(|name| name.as_bytes() == named) {
            Some(profile) => Next::Run(profile),
            None => Next::Refuse(self.unknown(named)),
        }
    }
}

impl Bound {
    /// The refusal, which tells strangers no names but their own.
    #[cold]
    fn unknown(&self, named: &[u8]) -> Refusal {
        let named: String = String::from_utf8_lossy(named).chars().take(MAX_SAID).collect();
        let message = format!(
            "the header {} names the scheduling profile {named:?}, which does not exist",
            self.header
        );
        Refusal::with(RefusalKind::UnknownProfile, message)
    }
}
