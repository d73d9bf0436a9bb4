//! The labels that tell groups of pods, and how.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Group, Groups};
use crate::plugin::{BuildCx, BuildError};
use crate::view::View;

/// The role of a pod that serves requests alone.
const AGGREGATE: &str = "aggregate";

/// Labels that tell the groups: parameters of `pd-group-producer`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GroupLabels {
    /// Label of the pods that has their role. One whose role is `aggregate` serves requests alone.
    pd_label_name: String,
    /// Label of the pods that has the name of their group.
    pd_group_label_name: String,
    /// Role of the pods that prefill.
    prefill_value: String,
    /// Role of the pods that decode.
    decode_value: String,
    /// Role of the pods that take the requests of their group.
    leader_value: String,
}

impl Default for GroupLabels {
    fn default() -> Self {
        Self {
            pd_label_name: "openfuyao.com/pdRole".to_owned(),
            pd_group_label_name: "openfuyao.com/pdGroupID".to_owned(),
            prefill_value: "prefill".to_owned(),
            decode_value: "decode".to_owned(),
            leader_value: "leader".to_owned(),
        }
    }
}

/// The pods with the name of one group, as positions in the view.
#[derive(Default)]
struct Members {
    prefill: Vec<u32>,
    decode: Vec<u32>,
    leaders: Vec<usize>,
}

impl GroupLabels {
    /// The same with defaults in place of empty texts.
    ///
    /// # Errors
    /// When two roles have the same name.
    pub(in crate::plugins) fn checked(self, cx: &mut BuildCx<'_>) -> Result<Self, BuildError> {
        let default = Self::default();
        let labels = Self {
            pd_label_name: cx.or_default("pdLabelName", self.pd_label_name, default.pd_label_name),
            pd_group_label_name: cx.or_default(
                "pdGroupLabelName",
                self.pd_group_label_name,
                default.pd_group_label_name,
            ),
            prefill_value: cx.or_default("prefillValue", self.prefill_value, default.prefill_value),
            decode_value: cx.or_default("decodeValue", self.decode_value, default.decode_value),
            leader_value: cx.or_default("leaderValue", self.leader_value, default.leader_value),
        };
        let roles = [
            ("prefillValue", &labels.prefill_value),
            ("decodeValue", &labels.decode_value),
            ("leaderValue", &labels.leader_value),
        ];
        for (n, (field, role)) in roles.iter().enumerate() {
            if role.as_str() == AGGREGATE || roles[..n].iter().any(|(_, earlier)| earlier == role) {
                let message = format!("{role:?} is another role already; give each role a value of its own");
                return Err(BuildError::invalid(field, message));
            }
        }
        Ok(labels)
    }

    /// The groups of the pods of `view`.
    pub(in crate::plugins) fn groups(&self, view: &View) -> Groups {
        let mut by_name: BTreeMap<&str, Members> = BTreeMap::new();
        let (mut groups, mut of) = (Vec::new(), vec![None; view.len()]);
        let alone = |i: usize| Group { prefill: [i as u32].into(), decode: [i as u32].into() };
        let labelled = view.endpoints.iter().any(|e| e.labels.contains_key(&self.pd_label_name));
        for (i, endpoint) in view.endpoints.iter().enumerate() {
            let label = |name: &String| endpoint.labels.get(name).map(String::as_str);
            let role = label(&self.pd_label_name);
            if !labelled || role == Some(AGGREGATE) {
                of[i] = Some(groups.len() as u32);
                groups.push(alone(i));
                continue;
            }
            let (Some(role), Some(name)) = (role, label(&self.pd_group_label_name)) else { continue };
            let members = by_name.entry(name).or_default();
            if role == self.prefill_value {
                members.prefill.push(i as u32);
            } else if role == self.decode_value {
                members.decode.push(i as u32);
            } else if role == self.leader_value {
                members.leaders.push(i);
            }
        }
        for Members { prefill, decode, leaders } in by_name.into_values() {
            if !prefill.is_empty() && !decode.is_empty() {
                leaders.into_iter().for_each(|i| of[i] = Some(groups.len() as u32));
                groups.push(Group { prefill: prefill.into(), decode: decode.into() });
            }
        }
        Groups { labels_hash: view.labels_hash, of: of.into(), groups: groups.into() }
    }
}
