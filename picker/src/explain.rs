//! The subcommand `picker explain`, which asks a live picker why a request went where it did, or where one would go.

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::args::{ExplainArgs, Form};
use crate::dry_run::{DryRunRequest, default_path};

mod ask;
mod table;
#[cfg(test)]
mod tests;

use ask::Asked;

/// The exit code when a decision is shown.
pub const SHOWN: u8 = 0;
/// The exit code when the picker kept no decision of that request.
pub const UNKNOWN: u8 = 1;
/// The exit code when it could not be asked.
pub const UNASKED: u8 = 2;

/// Asks, writes the answer to `out` and what is wrong to `err`, and returns the exit code.
pub async fn run(args: &ExplainArgs, out: &mut impl Write, err: &mut impl Write) -> u8 {
    // What can't be written to a closed pipe is not wanted.
    match explained(args).await {
        Ok(decisions) if decisions.is_empty() => {
            let message = "the picker kept no decision of this request: explain.samplePercent of the routing says how many \
                           are kept, the oldest go first, and each replica has its own";
            let _ = writeln!(err, "{message}");
            UNKNOWN
        }
        Ok(decisions) => {
            let text = match args.output {
                Form::Json => format!("{:#}\n", Value::Array(decisions)),
                Form::Text => decisions.iter().map(table::table).collect::<Vec<_>>().join("\n"),
            };
            let _ = out.write_all(text.as_bytes());
            SHOWN
        }
        Err(error) => {
            let _ = writeln!(err, "{error:#}");
            UNASKED
        }
    }
}

/// The decisions, the newest first.
async fn explained(args: &ExplainArgs) -> Result<Vec<Value>> {
    let asked = Asked { address: &args.address, token: token(args.token_file.as_deref())? };
    if let Some(id) = &args.request_id {
        let mut page = asked.get(&format!("/debug/decisions?request-id={}", escaped(id))).await?;
        let Value::Array(decisions) = page["decisions"].take() else {
            bail!("the picker's answer is none of a picker")
        };
        return Ok(decisions);
    }
    let tried = DryRunRequest {
        path: args.path.clone().unwrap_or_else(default_path),
        headers: args.header.clone(),
        body: args.body.as_deref().map(body).transpose()?.unwrap_or_default(),
    };
    Ok(vec![asked.post("/debug/explain", serde_json::to_vec(&tried)?).await?])
}

fn body(file: &Path) -> Result<String> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().lock().read_to_string(&mut text).context("standard input can't be read as text")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("{} can't be read as text", file.display()))
}

fn token(file: Option<&Path>) -> Result<Option<String>> {
    let read = |file: &Path| {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("{} can't be read", file.display()))?;
        Ok(text.trim().to_owned())
    };
    file.map(read).transpose()
}

/// `text` as a value in a query.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
