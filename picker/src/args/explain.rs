//! The arguments of `picker explain`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use http::Uri;

/// Which decision to explain, and whom to ask.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[group(skip)]
pub struct ExplainArgs {
    /// The x-request-id of a request whose decision the picker kept (explain.samplePercent of the routing)
    #[arg(value_name = "REQUEST_ID", conflicts_with_all = ["body", "header", "path"], required_unless_present_any = ["body", "header", "path"])]
    pub request_id: Option<String>,
    /// File with the body of the request of a dry run; - is standard input
    #[arg(long, value_name = "FILE")]
    pub body: Option<PathBuf>,
    /// A header of that request. May be given several times
    #[arg(long, value_name = "NAME:VALUE", value_parser = header)]
    pub header: Vec<(String, String)>,
    /// Path of that request. Default: /v1/chat/completions
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// The picker's port for pages
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090", value_parser = address)]
    pub address: Uri,
    /// File with the bearer token for a picker that asks for one (--metrics-endpoint-auth)
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Form of the answer
    #[arg(short, long, default_value = "text")]
    pub output: Form,
}

/// Form of an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Tables, for people.
    Text,
    /// JSON, for programs.
    Json,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("must be NAME:VALUE")?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() {
        Err("must be NAME:VALUE".to_owned())
    } else {
        Ok((name.to_owned(), value.to_owned()))
    }
}

fn address(text: &str) -> Result<Uri, String> {
    let uri: Option<Uri> = text.parse().ok();
    let is_plain = |uri: &Uri| uri.scheme_str() == Some("http") && uri.authority().is_some();
    uri.filter(is_plain).ok_or_else(|| "must be like http://127.0.0.1:9090".to_owned())
}
