//! The parameters that the types of data sources have in common: where a page is, and how it is fetched.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::duration;
use crate::plugin::{BuildCx, BuildError};
use crate::scrape::{MetricsSource, SourceKind, Tls};

/// How pages are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Scheme {
    /// In the clear.
    Http,
    /// By TLS.
    Https,
}

/// Where a page is, and how it is fetched, as parameters say it.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub scheme: Option<Scheme>,
    pub path: Option<String>,
    pub port: Option<u16>,
    pub insecure_skip_verify: Option<bool>,
    pub ca_cert_path: String,
    pub client_cert_path: String,
    pub client_key_path: String,
    pub interval: String,
}

impl Page {
    /// The source of this kind, with what all kinds have as parameters; what they leave out is the default of the kind.
    ///
    /// # Errors
    /// The parameter that is wrong.
    pub fn source(self, kind: SourceKind, cx: &mut BuildCx<'_>) -> Result<MetricsSource, BuildError> {
        if self.port == Some(0) {
            return Err(BuildError::invalid("port", "must be between 1 and 65535"));
        }
        let path = self.path.clone().filter(|path| !path.is_empty());
        let legal =
            |path: &str| path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        if path.as_deref().is_some_and(|path| !legal(path)) {
            return Err(BuildError::invalid("path", "must be a path, and begin with /"));
        }
        let tls = self.tls()?;
        let files = [
            ("caCertPath", tls.ca.as_deref()),
            ("clientCertPath", tls.client.as_ref().map(|(certificate, _)| certificate.as_str())),
            ("clientKeyPath", tls.client.as_ref().map(|(_, key)| key.as_str())),
        ];
        let https = self.scheme == Some(Scheme::Https);
        for (field, file) in files.into_iter().filter_map(|(field, file)| Some((field, file?))) {
            if https {
                cx.file(field, file);
            } else {
                cx.warn(field, "has no effect without scheme: https");
            }
        }
        if https && self.insecure_skip_verify.is_none() {
            let message = "is true by default: certificates of servers are not checked; write false to check them, or true";
            cx.warn("insecureSkipVerify", message);
        }
        if https && tls.ca.is_some() && !tls.verify {
            cx.warn("caCertPath", "has no effect without insecureSkipVerify: false");
        }
        let default = MetricsSource::of(kind);
        Ok(MetricsSource {
            path,
            port: self.port.or(default.port),
            tls: https.then_some(tls),
            plain: self.scheme == Some(Scheme::Http),
            interval: self.period()?.or(default.interval),
            ..default
        })
    }

    fn tls(&self) -> Result<Tls, BuildError> {
        let client = match (self.client_cert_path.as_str(), self.client_key_path.as_str()) {
            ("", "") => None,
            ("", _) => return Err(BuildError::invalid("clientCertPath", "is required beside clientKeyPath")),
            (_, "") => return Err(BuildError::invalid("clientKeyPath", "is required beside clientCertPath")),
            (certificate, key) => Some((certificate.to_owned(), key.to_owned())),
        };
        let ca = Some(self.ca_cert_path.clone()).filter(|path| !path.is_empty());
        Ok(Tls { verify: !self.insecure_skip_verify.unwrap_or(true), ca, client })
    }

    /// The period; `None` is the default.
    fn period(&self) -> Result<Option<Duration>, BuildError> {
        let period = duration_of("interval", &self.interval)?;
        if period.is_some_and(|period| period.is_zero() || period > LONGEST_INTERVAL) {
            return Err(BuildError::invalid("interval", "must be longer than 0 and at most 1h"));
        }
        Ok(period)
    }
}

/// The duration that the parameter `field` says in `text`, if any.
///
/// # Errors
/// When it is none, or too long.
pub(super) fn duration(field: &str, text: &str) -> Result<Option<Duration>, BuildError> {
    let duration = duration_of(field, text)?;
    if duration.is_some_and(|duration| duration > LONGEST_INTERVAL) {
        return Err(BuildError::invalid(field, "must be at most 1h"));
    }
    Ok(duration)
}

fn duration_of(field: &str, text: &str) -> Result<Option<Duration>, BuildError> {
    if text.is_empty() {
        return Ok(None);
    }
    duration::parse(text).map(Some).map_err(|e| BuildError::invalid(field, e))
}

/// Beyond it, what is read is of no use.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3600);
