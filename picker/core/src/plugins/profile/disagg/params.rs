//! Parameters of `disagg-profile-handler`, and which profile and decider each stage has by them.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::plugin::{BuildCx, BuildError};
use crate::role::Decider;

/// Parameters of `disagg-profile-handler`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Which stage is scheduled first: `decode-first` (the default) or `prefill-first`. `decode` and `prefill` are the same,
    /// and so are other spellings: upper case, `_`, none of `-`.
    pub(super) stage_order: StageOrder,
    /// The scheduling profile of each stage.
    profiles: Option<Profiles>,
    /// The plugins that decide whether a request has a stage. A stage without a decider is left out, but for decode, and
    /// for prefill with `prefill-first`.
    deciders: Option<Deciders>,
    /// Former way to write `profiles.decode`.
    #[schemars(extend("deprecated" = true))]
    decode_profile: Option<String>,
    /// Former way to write `profiles.prefill`.
    #[schemars(extend("deprecated" = true))]
    prefill_profile: Option<String>,
    /// Former way to write `profiles.encode`.
    #[schemars(extend("deprecated" = true))]
    encode_profile: Option<String>,
    /// Former way to write `deciders.prefill`.
    #[schemars(extend("deprecated" = true))]
    prefill_decider_plugin_name: Option<String>,
    /// Former way to write `deciders.encode`.
    #[schemars(extend("deprecated" = true))]
    encode_decider_plugin_name: Option<String>,
    /// The oldest way to write `deciders.prefill`.
    #[schemars(extend("deprecated" = true))]
    decider_plugin_name: Option<String>,
}

/// Which stage is scheduled first. Decode is the destination either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub(super) enum StageOrder {
    /// Decode, then encode and prefill where their deciders say so, which know the chosen decode server.
    #[default]
    DecodeFirst,
    /// Prefill always, if it has a profile, then encode where its decider says so, then decode.
    PrefillFirst,
}

/// In every spelling that llm-d takes: without regard to case, `-` and `_`, the stage alone, or nothing.
impl<'de> Deserialize<'de> for StageOrder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut plain = text.replace(['-', '_'], "");
        plain.make_ascii_lowercase();
        match plain.as_str() {
            "" | "decode" | "decodefirst" => Ok(Self::DecodeFirst),
            "prefill" | "prefillfirst" => Ok(Self::PrefillFirst),
            _ => Err(D::Error::unknown_variant(&text, &["decode-first", "prefill-first"])),
        }
    }
}

/// The scheduling profile of each stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Profiles {
    /// The profile that chooses the decode server, which is the destination; `decode` by default. It must exist.
    decode: Option<String>,
    /// The profile that chooses the prefill server; `prefill` by default. Without a profile of that name, there is no such
    /// stage.
    prefill: Option<String>,
    /// The profile that chooses the encode servers, by its scorers; `encode` by default. Without a profile of that name,
    /// there is no such stage.
    encode: Option<String>,
}

/// Names of deciders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Deciders {
    /// Decides which requests have a prefill stage. Not with `prefill-first`.
    prefill: Option<String>,
    /// Decides which requests have an encode stage.
    encode: Option<String>,
}

/// A value of the configuration, and the parameter that has it.
struct Given<'a> {
    field: &'static str,
    value: Option<&'a str>,
}

/// The profiles and deciders of the stages. Profiles are positions in the strategy.
pub(super) struct Stages {
    pub decode: usize,
    /// `None` when it never runs.
    pub prefill: Option<Stage>,
    /// `None` when it never runs.
    pub encode: Option<Stage>,
}

/// A stage beside decode.
pub(super) struct Stage {
    pub profile: usize,
    /// Without one, it always runs.
    pub decider: Option<Arc<dyn Decider>>,
}

impl Params {
    /// The stages.
    pub(super) fn stages(&self, cx: &mut BuildCx<'_>) -> Result<Stages, BuildError> {
        self.check_former(cx)?;
        let profiles = self.profiles.as_ref();
        let decode = given([
            ("profiles.decode", profiles.map(|p| &p.decode)),
            ("decodeProfile", Some(&self.decode_profile)),
        ]);
        let prefill = given([
            ("profiles.prefill", profiles.map(|p| &p.prefill)),
            ("prefillProfile", Some(&self.prefill_profile)),
        ]);
        let encode = given([
            ("profiles.encode", profiles.map(|p| &p.encode)),
            ("encodeProfile", Some(&self.encode_profile)),
        ]);
        let deciders = self.deciders.as_ref();
        let decides_prefill = given([
            ("deciders.prefill", deciders.map(|d| &d.prefill)),
            ("prefillDeciderPluginName", Some(&self.prefill_decider_plugin_name)),
            ("deciderPluginName", Some(&self.decider_plugin_name)),
        ]);
        let decides_encode = given([
            ("deciders.encode", deciders.map(|d| &d.encode)),
            ("encodeDeciderPluginName", Some(&self.encode_decider_plugin_name)),
        ]);
        let always = self.stage_order == StageOrder::PrefillFirst;
        if always && decides_prefill.value.is_some() {
            let message = "has no place in the stage order prefill-first, where every request is prefilled before the \
                           decode server is chosen; leave it out";
            return Err(BuildError::invalid(decides_prefill.field, message));
        }
        let decode_position = cx.profile(decode.field, decode.value.unwrap_or("decode"))?;
        let stages = Stages {
            decode: decode_position,
            prefill: stage("prefill", &prefill, &decides_prefill, always, cx)?,
            encode: stage("encode", &encode, &decides_encode, false, cx)?,
        };
        let [p, e] = [&stages.prefill, &stages.encode].map(|stage| stage.as_ref().map(|s| s.profile));
        for (field, twice) in [
            (prefill.field, p == Some(decode_position)),
            (encode.field, e == Some(decode_position) || e.is_some() && e == p),
        ] {
            if twice {
                return Err(BuildError::invalid(field, "is the profile of another stage; each has its own"));
            }
        }
        Ok(stages)
    }

    /// Former parameters are taken with a warning, and not beside those that took their place.
    fn check_former(&self, cx: &mut BuildCx<'_>) -> Result<(), BuildError> {
        let former = [
            ("decodeProfile", &self.decode_profile, "profiles.decode"),
            ("prefillProfile", &self.prefill_profile, "profiles.prefill"),
            ("encodeProfile", &self.encode_profile, "profiles.encode"),
            ("prefillDeciderPluginName", &self.prefill_decider_plugin_name, "deciders.prefill"),
            ("encodeDeciderPluginName", &self.encode_decider_plugin_name, "deciders.encode"),
            ("deciderPluginName", &self.decider_plugin_name, "deciders.prefill"),
        ];
        for (field, _, now) in former.into_iter().filter(|(_, value, _)| value.is_some()) {
            if self.profiles.is_some() || self.deciders.is_some() {
                let message =
                    format!("is a former parameter, and not taken beside profiles or deciders; write {now}");
                return Err(BuildError::invalid(field, message));
            }
            cx.warn(field, format!("is a former parameter; write {now}"));
        }
        if self.prefill_decider_plugin_name.is_some() && self.decider_plugin_name.is_some() {
            return Err(BuildError::invalid(
                "deciderPluginName",
                "is the same as prefillDeciderPluginName; leave it out",
            ));
        }
        Ok(())
    }
}

/// The first that is there. An empty name is none.
fn given<'a, const N: usize>(places: [(&'static str, Option<&'a Option<String>>); N]) -> Given<'a> {
    let first = places[0].0;
    let named = |value: Option<&'a Option<String>>| value?.as_deref().filter(|name| !name.is_empty());
    let found = places.into_iter().find_map(|(field, value)| Some((field, named(value)?)));
    match found {
        Some((field, value)) => Given { field, value: Some(value) },
        None => Given { field: first, value: None },
    }
}

/// The stage whose profile is called `name` by default. `always` says that it needs no decider.
fn stage(
    name: &str,
    profile: &Given<'_>,
    decider: &Given<'_>,
    always: bool,
    cx: &mut BuildCx<'_>,
) -> Result<Option<Stage>, BuildError> {
    // A profile that is named, or that there is a decider for, must be there.
    let position = if profile.value.is_some() || decider.value.is_some() {
        Some(cx.profile(profile.field, profile.value.unwrap_or(name))?)
    } else {
        cx.find_profile(name)
    };
    let Some(position) = position else {
        if always {
            cx.warn("stageOrder", format!("has no effect without a scheduling profile {name:?}"));
        }
        return Ok(None);
    };
    match decider.value {
        Some(decides) => {
            let decider = Some(cx.decider(decider.field, decides)?);
            Ok(Some(Stage { profile: position, decider }))
        }
        None if always => Ok(Some(Stage { profile: position, decider: None })),
        None => {
            let name = profile.value.unwrap_or(name);
            let message = format!(
                "is absent, so that the scheduling profile {name:?} never runs; name a decider, or take the profile out"
            );
            cx.warn(decider.field, message);
            Ok(None)
        }
    }
}
