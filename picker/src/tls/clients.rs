//! Who may connect: clients with a certificate of an authority in a file, which is read again when it changes.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use super::certificate::{TlsError, provider};
use super::files::{read, told};
use super::follow::{Change, follow};

/// The verifier of clients' certificates, replaceable while connections come in. Clients are not told which authorities
/// there are.
#[derive(Debug)]
pub struct Clients(ArcSwap<Current>);

#[derive(Debug)]
struct Current(Arc<dyn ClientCertVerifier>);

/// The file with the authorities.
#[derive(Debug)]
pub struct ClientCa {
    path: PathBuf,
    seen: Vec<u8>,
    clients: Arc<Clients>,
}

impl ClientCa {
    /// Reads the certificates of authorities in `path` (PEM).
    ///
    /// # Errors
    /// When there is none, or one is no good.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, TlsError> {
        let path = path.into();
        let seen = read(&path)?;
        let clients = Arc::new(Clients(ArcSwap::from_pointee(verifier(&path, &seen)?)));
        Ok(Self { path, seen, clients })
    }

    /// The verifier that this keeps up to date.
    pub fn clients(&self) -> &Arc<Clients> {
        &self.clients
    }

    /// Looks at the file. Whether it is new, and decides from now on.
    ///
    /// # Errors
    /// When it is new and no good: the authorities before go on deciding.
    pub fn check(&mut self) -> Result<bool, TlsError> {
        let bytes = read(&self.path)?;
        if bytes == self.seen {
            return Ok(false);
        }
        self.clients.0.store(Arc::new(verifier(&self.path, &bytes)?));
        self.seen = bytes;
        Ok(true)
    }

    /// Looks at the file every `period` for as long as it is polled. The small file is read on this thread.
    pub async fn watch(mut self, period: Duration) -> Infallible {
        let path = self.path.clone();
        let look = || match self.check() {
            Ok(false) => Change::None,
            Ok(true) => Change::Replaced,
            Err(error) => Change::Refused(error),
        };
        let tell = |outcome: Result<(), &str>| match outcome {
            Ok(()) => tracing::info!(path = %path.display(), "new authorities of clients decide"),
            Err(error) => {
                tracing::warn!(error, "the new authorities of clients are refused, the old ones decide");
            }
        };
        follow(period, look, tell).await
    }
}

fn verifier(path: &Path, bytes: &[u8]) -> Result<Current, TlsError> {
    let fault = |why| TlsError::Pem { what: "certificate", path: path.display().to_string(), why };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bytes) {
        let certificate = certificate.map_err(|error| fault(told(&error)))?;
        roots.add(certificate).map_err(|_| fault("one of them is no certificate"))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    Ok(Current(verifier.map_err(|_| fault("there is none"))?))
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.load().0.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.load().0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.load().0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.load().0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests;
