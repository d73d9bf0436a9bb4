//! Parameters of the plugins that keep sessions at their endpoints.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::source::{ID_HEADER, Source, SourceConfig, default_sources, header_name};
use super::table::MAX_TTL;
use crate::plugin::{BuildCx, BuildError};

/// Parameters of `session-affinity-filter` and `session-affinity-scorer`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// How a session is known: `encoded_endpoint_header` (the default), where clients bring back a token that the
    /// response to their last request had, or `session_id`, where requests carry an id of their session, and the picker
    /// remembers where each session is.
    strategy: Strategy,
    /// For the strategy `encoded_endpoint_header`.
    encoded_endpoint_header_config: Option<TokenConfig>,
    /// For the strategy `session_id`.
    session_id_config: Option<IdConfig>,
    /// The scheduling profile whose endpoint a session stays at, for example `prefill`. By default, it is the profile of
    /// the destination. With a plugin for each of two profiles, give them different headers.
    pub(super) profile_name: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Strategy {
    /// The token in a header names the endpoint: the base64 of `namespace/name`. It is written into every response.
    #[default]
    #[serde(alias = "")]
    EncodedEndpointHeader,
    /// A table in the memory of this picker has the endpoint of each session. Nothing is written into responses, and
    /// other replicas know nothing of it.
    SessionId,
}

/// Parameters of the strategy `encoded_endpoint_header`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct TokenConfig {
    /// The header of requests and responses that has the token.
    header: String,
}

/// The header of tokens when nothing else is said.
const TOKEN_HEADER: &str = "x-session-token";

impl Default for TokenConfig {
    fn default() -> Self {
        Self { header: TOKEN_HEADER.to_owned() }
    }
}

/// Parameters of the strategy `session_id`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct IdConfig {
    /// Where the id of the session is looked for. The first source that has one counts. A request without an id is left
    /// to the other plugins. By default, and when there is none, it is the header `x-session-id`.
    sources: Vec<SourceConfig>,
    /// For how many seconds the picker remembers a session that sends no request, 1 to 2592000 (30 days). 0 counts as the
    /// default.
    #[schemars(range(min = 0, max = 2_592_000))]
    eviction_ttl_seconds: f64,
    /// Within how many seconds the memory of expired sessions is freed, 1 to 86400. 0 counts as the default. An expired
    /// session is never used, even before that. At most 1048576 sessions are kept, in 16 MiB; beyond that, those used
    /// longest ago give way. A strategy has at most four plugins with such a table.
    #[schemars(range(min = 0, max = 86_400))]
    eviction_sweep_seconds: f64,
}

const DEFAULT_TTL: f64 = 300.0;
const DEFAULT_SWEEP: f64 = 10.0;

impl Default for IdConfig {
    fn default() -> Self {
        let (eviction_ttl_seconds, eviction_sweep_seconds) = (DEFAULT_TTL, DEFAULT_SWEEP);
        Self { sources: default_sources(), eviction_ttl_seconds, eviction_sweep_seconds }
    }
}

/// How sessions are known, as checked.
#[derive(Debug)]
pub(super) enum Known {
    /// By the token in this header.
    Token {
        /// In lower case.
        header: String,
    },
    /// By an id.
    Id {
        /// Where ids come from, the first one first.
        sources: Box<[Source]>,
        /// What tells two spaces of ids apart.
        shape: String,
        ttl: Duration,
        sweep: Duration,
    },
}

const SOURCES: &str = "sessionIdConfig.sources";

impl Params {
    /// How sessions are known.
    pub(super) fn known(&self, cx: &mut BuildCx<'_>) -> Result<Known, BuildError> {
        let of_the_other = match self.strategy {
            Strategy::EncodedEndpointHeader => self.session_id_config.as_ref().map(|_| "sessionIdConfig"),
            Strategy::SessionId => {
                self.encoded_endpoint_header_config.as_ref().map(|_| "encodedEndpointHeaderConfig")
            }
        };
        if let Some(field) = of_the_other {
            cx.warn(field, "has no effect with the other strategy; leave it out, or change strategy");
        }
        match self.strategy {
            Strategy::EncodedEndpointHeader => {
                let TokenConfig { header } = self.encoded_endpoint_header_config.clone().unwrap_or_default();
                let field = "encodedEndpointHeaderConfig.header";
                let header = cx.or_default(field, header, TOKEN_HEADER.to_owned());
                let header = header_name(field, &header)?;
                Ok(Known::Token { header })
            }
            Strategy::SessionId => self.session_id_config.clone().unwrap_or_default().known(cx),
        }
    }
}

impl IdConfig {
    fn known(&self, cx: &mut BuildCx<'_>) -> Result<Known, BuildError> {
        let mut given = self.sources.clone();
        if given.is_empty() {
            let message =
                format!("[] counts as the default, the header {ID_HEADER}; leave it out, or write that");
            cx.warn(SOURCES, message);
            given = default_sources();
        }
        let mut shape = String::new();
        let mut sources = Vec::with_capacity(given.len());
        for (n, source) in given.iter().enumerate() {
            let source = source.checked(&format!("{SOURCES}[{n}]"), &mut shape, cx)?;
            sources.push(source);
        }
        let (ttl, sweep) = ("sessionIdConfig.evictionTtlSeconds", "sessionIdConfig.evictionSweepSeconds");
        let ttl = seconds(ttl, cx.or_default(ttl, self.eviction_ttl_seconds, DEFAULT_TTL), MAX_TTL)?;
        let day = Duration::from_secs(86_400);
        let sweep = seconds(sweep, cx.or_default(sweep, self.eviction_sweep_seconds, DEFAULT_SWEEP), day)?;
        Ok(Known::Id { sources: sources.into(), shape, ttl, sweep })
    }
}

fn seconds(field: &str, seconds: f64, most: Duration) -> Result<Duration, BuildError> {
    if (1.0..=most.as_secs_f64()).contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds));
    }
    let message = format!("must lie between 1 and {}", most.as_secs());
    Err(BuildError::invalid(field, message))
}
