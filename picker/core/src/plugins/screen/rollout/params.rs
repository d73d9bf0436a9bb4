//! Parameters of `disaggregatedset-rollout-screener`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::labels::{Stamp, Strict};
use super::revisions::{Revisions, Weight};
use crate::plugin::BuildError;
use crate::plugins::label_selector::{LabelSelector, syntax};
use crate::plugins::per_labels::PerLabels;
use crate::request::header;

/// Parameters of `disaggregatedset-rollout-screener`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// The pods that count as a revision's.
    scope: Scope,
    /// Request headers that ask for labels, and response headers that tell them.
    #[serde(default)]
    header_selectors: Vec<HeaderSelector>,
    /// How a revision is chosen.
    revision_gating: RevisionGating,
}

/// The pods that count.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Scope {
    /// Selector of their labels, as text: `app=chat,tier in (a,b)`.
    label_selector: String,
}

/// A header and a label.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HeaderSelector {
    /// A name of its own.
    name: String,
    /// Name of the request header, and of the response header that gets the label of the server that served. Upper and lower
    /// case are the same.
    header_name: String,
    /// The label.
    label_key: String,
    /// What becomes of servers without the value that a request asks for: they are taken out (`strict`), or stay (`prefer`; a
    /// `header-label-affinity-scorer` can prefer those with it).
    mode: SelectorMode,
}

/// What becomes of servers without the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum SelectorMode {
    /// They are taken out.
    Strict,
    /// They stay.
    Prefer,
}

/// How a revision is chosen.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RevisionGating {
    /// Label with the revision of a pod.
    #[serde(default = "revision_label")]
    revision_label_key: String,
    /// Label with the role of a pod.
    #[serde(default = "role_label")]
    role_label_key: String,
    /// What the share of a revision is measured by: the pods of all required roles (`sum`), or those of the role that has the most
    /// pods in all complete revisions (`max-role`). With `disabled` no revision is chosen, and headers do as they do.
    mode: GatingMode,
    /// Request header with the session of a request: those with the same value get the same revision, and as a rollout goes on each session
    /// moves to the new one once, rather than back and forth. Without it, and for requests without the header, each request is drawn by itself,
    /// as in llm-d.
    #[serde(default)]
    session_header_name: Option<String>,
    /// The roles of which a complete revision has a ready pod each. Required but for the mode `disabled`.
    #[serde(default)]
    require_roles: Option<RequireRoles>,
}

/// Required roles.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RequireRoles {
    /// Their names, each once, at most 64. Of roles with equally many pods the first counts.
    values: Vec<String>,
}

/// The most roles that a complete revision needs: pods of each are counted in each revision.
const MAX_ROLES: usize = 64;

/// What the share of a revision is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum GatingMode {
    /// The pods of all required roles.
    Sum,
    /// Those of the role that has the most.
    MaxRole,
    /// None is chosen.
    Disabled,
}

const REVISION_LABEL: &str = "disaggregatedset.x-k8s.io/revision";
const ROLE_LABEL: &str = "disaggregatedset.x-k8s.io/role";

fn revision_label() -> String {
    REVISION_LABEL.to_owned()
}

fn role_label() -> String {
    ROLE_LABEL.to_owned()
}

/// What the parameters stand for.
pub(super) struct Checked {
    /// `None` when all revisions are candidates.
    pub revisions: Option<Revisions>,
    /// The header with the session, in lower case.
    pub session: Option<String>,
    /// The headers that take out all without the value.
    pub strict: Vec<Strict>,
    /// The headers that responses get.
    pub stamps: Vec<Stamp>,
}

impl Params {
    /// What they stand for.
    pub(super) fn checked(self) -> Result<Checked, BuildError> {
        let scope = LabelSelector::parse(&self.scope.label_selector)
            .map_err(|message| BuildError::invalid("scope.labelSelector", message))?;
        let (mut stamps, mut strict) = (Vec::new(), Vec::new());
        for (n, selector) in self.header_selectors.iter().enumerate() {
            let field = |name: &str| format!("headerSelectors[{n}].{name}");
            let stamp = selector.checked(&field, &self.header_selectors[..n], &stamps)?;
            if selector.mode == SelectorMode::Strict {
                strict.push(Strict { stamp: stamp.clone(), values: PerLabels::default() });
            }
            stamps.push(stamp);
        }
        let session = self.revision_gating.session_header_name.as_deref().map(header::name).transpose();
        let session =
            session.map_err(|message| BuildError::invalid("revisionGating.sessionHeaderName", message))?;
        let revisions = self.revision_gating.checked(scope)?;
        Ok(Checked { revisions, session, strict, stamps })
    }
}

impl HeaderSelector {
    fn checked(
        &self,
        field: &impl Fn(&str) -> String,
        before: &[Self],
        stamps: &[Stamp],
    ) -> Result<Stamp, BuildError> {
        if self.name.is_empty() {
            return Err(BuildError::invalid(&field("name"), "must not be empty"));
        }
        if before.iter().any(|other| other.name == self.name) {
            let message = format!("{:?} is the name of an earlier selector; give each its own", self.name);
            return Err(BuildError::invalid(&field("name"), message));
        }
        let header = header::name(&self.header_name)
            .map_err(|message| BuildError::invalid(&field("headerName"), message))?;
        if stamps.iter().any(|other| other.header == header) {
            let message = format!("{header:?} is the header of an earlier selector; give each its own");
            return Err(BuildError::invalid(&field("headerName"), message));
        }
        Ok(Stamp { header, label: label(&field("labelKey"), &self.label_key)? })
    }
}

impl RevisionGating {
    fn checked(self, scope: LabelSelector) -> Result<Option<Revisions>, BuildError> {
        let weight = match self.mode {
            GatingMode::Sum => Weight::Sum,
            GatingMode::MaxRole => Weight::MaxRole,
            GatingMode::Disabled => return Ok(None),
        };
        // An empty text counts as the default, as in llm-d.
        let key = |field: &str, given: String, default: &str| {
            label(&format!("revisionGating.{field}"), if given.is_empty() { default } else { &given })
        };
        let revision = key("revisionLabelKey", self.revision_label_key, REVISION_LABEL)?;
        let role = key("roleLabelKey", self.role_label_key, ROLE_LABEL)?;
        let field = "revisionGating.requireRoles";
        let Some(RequireRoles { values }) = self.require_roles else {
            return Err(BuildError::invalid(field, "is required unless the mode is disabled"));
        };
        if values.is_empty() {
            return Err(BuildError::invalid(&format!("{field}.values"), "must have at least one role"));
        }
        if values.len() > MAX_ROLES {
            let message = format!("has {} roles, more than {MAX_ROLES}", values.len());
            return Err(BuildError::invalid(&format!("{field}.values"), message));
        }
        for (n, value) in values.iter().enumerate() {
            let field = format!("{field}.values[{n}]");
            if value.is_empty() {
                return Err(BuildError::invalid(&field, "must not be empty"));
            }
            if values[..n].contains(value) {
                return Err(BuildError::invalid(&field, format!("{value:?} is there twice; take one out")));
            }
        }
        Ok(Some(Revisions::new(scope, revision, role, values, weight)))
    }
}

fn label(field: &str, key: &str) -> Result<String, BuildError> {
    syntax::key(key).map_err(|message| BuildError::invalid(field, message))?;
    Ok(key.to_owned())
}
