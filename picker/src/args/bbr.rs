//! The flags of body-based routing.

use bytes::Bytes;
use clap::Args;
use clap::builder::ArgPredicate;

use super::value;
use crate::bbr::fields::{self, BASE_MODEL_HEADER, Field, Fields, MODEL, MODEL_HEADER};
use crate::bbr::plugin_flag::{self, Plugin};

/// What says where requests go is of no use to who picks nothing, and most likely a mistake.
const OF_PICKERS: [&str; 5] = ["strategy", "config_file", "config_text", "pool_name", "endpoint_selector"];

/// Body-based routing: what is read of bodies, and written into headers.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct BbrArgs {
    /// Whether this picker picks nothing: it writes the model that a request's body names into a header before the gateway
    /// chooses a route (body-based routing), and needs no pool and no strategy
    #[arg(long, value_name = "BOOL", help_heading = "Body-based routing", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", action = clap::ArgAction::Set, value_parser = value::boolean, conflicts_with_all = OF_PICKERS)]
    pub bbr: bool,
    /// Header that the model is written to
    #[arg(long, value_name = "HEADER", help_heading = "Body-based routing", default_value = MODEL_HEADER, value_parser = fields::header_name)]
    pub bbr_model_header: Bytes,
    /// Header that the base model of a LoRA adapter, or of a base model, is written to. The adapters are those of ConfigMaps
    /// labelled inference.networking.k8s.io/bbr-managed=true, and of --bbr-adapter
    #[arg(long, value_name = "HEADER", help_heading = "Body-based routing", default_value = BASE_MODEL_HEADER, value_parser = fields::header_name)]
    pub bbr_base_model_header: Bytes,
    /// Another field of bodies, and the header that it is written to. May be given several times
    #[arg(long, value_name = "FIELD:HEADER", help_heading = "Body-based routing", value_parser = plugin_flag::field)]
    pub bbr_field: Vec<Field>,
    /// A LoRA adapter and its base model, beside those of ConfigMaps. May be given several times
    #[arg(long, value_name = "ADAPTER=BASE", help_heading = "Body-based routing", value_parser = adapter)]
    pub bbr_adapter: Vec<(String, String)>,
    /// Whether the ConfigMaps of adapters are read
    #[arg(long, value_name = "BOOL", help_heading = "Body-based routing", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", action = clap::ArgAction::Set, value_parser = value::boolean)]
    pub bbr_config_maps: bool,
    /// A plugin of GIE's body-based router: body-field-to-header or base-model-to-header. May be given several times, and then
    /// means --bbr, with what the plugins say in place of the other flags about headers
    #[arg(long, value_name = "TYPE:NAME[:JSON]", help_heading = "Body-based routing", value_parser = plugin_flag::parse, conflicts_with_all = OF_PICKERS)]
    pub plugin: Vec<Plugin>,
}

impl Default for BbrArgs {
    fn default() -> Self {
        let lower = |name: &str| Bytes::from(name.to_ascii_lowercase());
        Self {
            bbr: false,
            bbr_model_header: lower(MODEL_HEADER),
            bbr_base_model_header: lower(BASE_MODEL_HEADER),
            bbr_field: Vec::new(),
            bbr_adapter: Vec::new(),
            bbr_config_maps: true,
            plugin: Vec::new(),
        }
    }
}

impl BbrArgs {
    /// Whether the process routes by bodies, and does nothing else.
    pub fn is_on(&self) -> bool {
        self.bbr || !self.plugin.is_empty()
    }

    /// The fields that are read.
    pub fn fields(&self) -> Fields {
        if self.plugin.is_empty() {
            let model = Field { name: MODEL.to_owned(), header: self.bbr_model_header.clone() };
            let all = std::iter::once(&model).chain(&self.bbr_field).cloned().collect();
            return Fields::new(all, Some(self.bbr_base_model_header.clone()));
        }
        let mut base_model_header = None;
        let mut all = Vec::new();
        for plugin in &self.plugin {
            match plugin {
                Plugin::Field(field) => all.push(field.clone()),
                Plugin::BaseModel(header) => base_model_header = Some(header.clone()),
            }
        }
        Fields::new(all, base_model_header)
    }
}

/// The default of a flag where bodies route.
pub(super) fn by_mode(value: &'static str) -> [(&'static str, ArgPredicate, Option<&'static str>); 3] {
    let on = |spelling: &'static str| ("bbr", ArgPredicate::Equals(spelling.into()), Some(value));
    [on("true"), on("1"), ("plugin", ArgPredicate::IsPresent, Some(value))]
}

fn adapter(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(adapter, base)| !adapter.is_empty() && !base.is_empty());
    let (adapter, base) = pair.ok_or("must be ADAPTER=BASE")?;
    Ok((adapter.to_owned(), base.to_owned()))
}
