//! The files `tls.crt` and `tls.key` of a directory, as a Secret is mounted.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::certificate::{Certificate, TlsError, certified};
use super::follow::{Change, follow};
use crate::regular_file;

/// A certificate and its key, read from a directory and followed there.
#[derive(Debug)]
pub struct Files {
    dir: PathBuf,
    certificate: Arc<Certificate>,
    seen: Pair,
}

/// The bytes of both files. Content is compared, not time: a Secret's mount changes a link two levels up.
#[derive(Debug, PartialEq, Eq)]
struct Pair {
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    /// Reads the pair in `dir`.
    ///
    /// # Errors
    /// When one of the two is missing, is no PEM, or they are not a pair.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, TlsError> {
        let dir = dir.into();
        let seen = Pair::read(&dir)?;
        let certificate = Certificate::new(seen.certified(&dir)?);
        Ok(Self { dir, certificate, seen })
    }

    /// The certificate that this keeps up to date.
    pub fn certificate(&self) -> &Arc<Certificate> {
        &self.certificate
    }

    /// Looks at the files, and makes them serve if they are new and good.
    pub fn check(&mut self) -> Change {
        let pair = match Pair::read(&self.dir) {
            Ok(pair) if pair == self.seen => return Change::None,
            Ok(pair) => pair,
            Err(error) => return Change::Refused(error),
        };
        match pair.certified(&self.dir) {
            Ok(key) => {
                self.certificate.replace(key);
                self.seen = pair;
                Change::Replaced
            }
            Err(error) => Change::Refused(error),
        }
    }

    /// Looks at the files every `period` for as long as it is polled. The two small files are read on this
    /// thread.
    pub async fn watch(mut self, period: Duration) -> Infallible {
        let dir = self.dir.clone();
        let tell = |outcome: Result<(), &str>| match outcome {
            Ok(()) => tracing::info!(dir = %dir.display(), "a new certificate serves"),
            Err(error) => {
                tracing::warn!(dir = %dir.display(), error, "the new certificate is refused, the old one serves");
            }
        };
        follow(period, || self.check(), tell).await
    }
}

impl Pair {
    fn read(dir: &Path) -> Result<Self, TlsError> {
        Ok(Self { chain: read(&chain_path(dir))?, key: read(&key_path(dir))? })
    }

    fn certified(&self, dir: &Path) -> Result<CertifiedKey, TlsError> {
        let fault = |what, path: PathBuf| {
            move |error| TlsError::Pem { what, path: path.display().to_string(), why: told(&error) }
        };
        let chain = CertificateDer::pem_slice_iter(&self.chain)
            .collect::<Result<Vec<_>, _>>()
            .and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) })
            .map_err(fault("certificate", chain_path(dir)))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(fault("private key", key_path(dir)))?;
        certified(chain, key)
    }
}

/// The content of the file at `path`.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    regular_file::read(path).map_err(|source| TlsError::Read { path: path.display().to_string(), source })
}

/// The error without the line of the file that the reader stopped at: it may be one of a private key.
pub(super) fn told(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        pem::Error::IllegalSectionStart { .. } => "a section begins with a line that is none",
        pem::Error::Base64Decode(_) => "a section is no base64",
        pem::Error::SectionTooLarge => "a section is too large",
        pem::Error::NoItemsFound => "there is none",
        _ => "it can't be read",
    }
}

fn chain_path(dir: &Path) -> PathBuf {
    dir.join("tls.crt")
}

fn key_path(dir: &Path) -> PathBuf {
    dir.join("tls.key")
}

#[cfg(test)]
mod tests;
