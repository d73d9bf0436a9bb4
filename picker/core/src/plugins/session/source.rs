//! Where the id of a session comes from.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::ask::Ask;
use crate::fact::{Fact, FairnessId, SessionId, Slot};
use crate::plugin::{BuildCx, BuildError};
use crate::request::header;

/// The header with the id of a session when nothing else is said.
pub(super) const ID_HEADER: &str = "x-session-id";

/// Where ids come from when nothing is said.
pub(super) fn default_sources() -> Vec<SourceConfig> {
    vec![SourceConfig { header: Some(ID_HEADER.to_owned()), attribute: None, producer: None }]
}

/// Where the id of a session comes from: `header` or `attribute`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct SourceConfig {
    /// The name of a request header.
    header: Option<String>,
    /// What another plugin found out: `agent-identity`, the session of the agent that sends the request, or
    /// `SessionIDDataKey`, what a plugin of type `session-id-producer` found.
    attribute: Option<String>,
    /// Name of the plugin that finds out the attribute. Without it, the one called `agent-identity` or `session-id-producer`,
    /// or else the only one of that type, which is made if there is none.
    producer: Option<String>,
}

/// Where an id comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// The header of this name, in lower case.
    Header(String),
    /// The agent's session.
    Agent(Slot<FairnessId>),
    /// What a producer of session ids found.
    Session(Slot<SessionId>),
}

/// The attributes there are, by llm-d's names.
const AGENT: &str = "agent-identity";
const SESSION: &str = "SessionIDDataKey";

impl SourceConfig {
    /// The source as checked. `shape` gets what tells its ids from those of another one.
    pub(super) fn checked(
        &self,
        path: &str,
        shape: &mut String,
        cx: &mut BuildCx<'_>,
    ) -> Result<Source, BuildError> {
        // An empty text is as good as none.
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        match (given(&self.header), given(&self.attribute)) {
            (Some(_), None) if given(&self.producer).is_some() => {
                let message = "belongs to an attribute; leave it out for a header";
                Err(BuildError::invalid(&format!("{path}.producer"), message))
            }
            (Some(header), None) => {
                let header = header_name(&format!("{path}.header"), &header)?;
                shape.push_str(&format!("header={header} "));
                Ok(Source::Header(header))
            }
            (None, Some(attribute)) => {
                let field = format!("{path}.producer");
                let source = match attribute.as_str() {
                    AGENT => Source::Agent(cx.reads(&field, self.producer::<FairnessId>(&field, cx)?)?),
                    SESSION => {
                        let producer = self.producer::<SessionId>(&field, cx)?;
                        let header = Map::from_iter([("headerName".to_owned(), Value::from(ID_HEADER))]);
                        Source::Session(cx.reads_made_with(&field, producer, header)?)
                    }
                    _ => {
                        let message =
                            format!("there is no attribute {attribute:?}; known: {AGENT}, {SESSION}");
                        return Err(BuildError::unknown_ref(&format!("{path}.attribute"), message));
                    }
                };
                let producer = given(&self.producer);
                let producer = producer.as_deref().or(source.default_producer()).unwrap_or_default();
                shape.push_str(&format!("attribute={attribute} producer={producer} "));
                Ok(source)
            }
            _ => Err(BuildError::invalid(path, "must have either header or attribute")),
        }
    }

    /// The producer of the attribute, if it is named. It must be where it is not clear.
    fn producer<F: Fact>(&self, field: &str, cx: &BuildCx<'_>) -> Result<Option<&str>, BuildError> {
        let producer = self.producer.as_deref().filter(|name| !name.is_empty());
        if producer.is_none()
            && let (Some(kind), Some(names)) = (F::DEFAULT_PRODUCER, cx.ambiguous::<F>())
        {
            let message =
                format!("is required: there are several plugins of type {kind}: {}", names.join(", "));
            return Err(BuildError::invalid(field, message));
        }
        Ok(producer)
    }
}

impl Source {
    /// The id, if it has one that is not empty.
    pub(super) fn id<'a>(&'a self, ask: &Ask<'a>) -> Option<&'a [u8]> {
        let id = match self {
            Self::Header(name) => ask.request.headers.get(name)?.trim_ascii(),
            Self::Agent(slot) => ask.facts.get(*slot).agent.as_deref()?,
            Self::Session(slot) => ask.facts.get(*slot).id.as_deref()?,
        };
        (!id.is_empty()).then_some(id)
    }

    /// The producer where none is named.
    fn default_producer(&self) -> Option<&'static str> {
        match self {
            Self::Header(_) => None,
            Self::Agent(_) => FairnessId::DEFAULT_PRODUCER,
            Self::Session(_) => SessionId::DEFAULT_PRODUCER,
        }
    }
}

/// The name of a header, in lower case, that the parameter `field` has.
pub(super) fn header_name(field: &str, name: &str) -> Result<String, BuildError> {
    header::name(name).map_err(|message| BuildError::invalid(field, message))
}
