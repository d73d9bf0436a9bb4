//! TLS for scraping: the certificates that are believed, and the one that is shown.

use std::path::Path;
use std::sync::Arc;

use picker_core::scrape::Tls;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::regular_file;

/// The reason why pages can't be fetched by TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds nothing of its kind. What it does hold is not told: it may be a secret.
    #[error("no {what} in {path} (PEM)")]
    Pem {
        /// Certificates or a private key.
        what: &'static str,
        /// The file.
        path: String,
    },
    /// The certificate and the key are no pair, or of a kind that is not supported.
    #[error("certificate and key can't be used: {0}")]
    Pair(#[from] rustls::Error),
}

/// The contents of the files that a [`Tls`] names.
#[derive(Debug, PartialEq, Eq)]
pub struct Files {
    ca: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Files {
    /// Reads them. They are small.
    ///
    /// # Errors
    /// When one can't be read.
    pub fn read(tls: &Tls) -> Result<Self, TlsError> {
        let read = |path: &String| {
            regular_file::read(Path::new(path))
                .map_err(|source| TlsError::Read { path: path.clone(), source })
        };
        let ca = tls.ca.as_ref().filter(|_| tls.verify).map(read).transpose()?;
        let client = tls.client.as_ref();
        let client = client.map(|(certificate, key)| Ok::<_, TlsError>((read(certificate)?, read(key)?)));
        Ok(Self { ca, client: client.transpose()? })
    }

    /// How connections are made with them.
    ///
    /// # Errors
    /// When they hold no certificates or no key.
    pub fn config(&self, tls: &Tls) -> Result<Arc<ClientConfig>, TlsError> {
        let provider = crate::tls::provider();
        let builder =
            ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let builder = if tls.verify {
            builder.with_root_certificates(self.roots(tls)?)
        } else {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        };
        let config = match (&self.client, &tls.client) {
            (Some((certificate, key)), Some((certificate_path, key_path))) => {
                let chain = certificates(certificate, certificate_path)?;
                let wrong = |_| TlsError::Pem { what: "private key", path: key_path.clone() };
                let key = PrivateKeyDer::from_pem_slice(key).map_err(wrong)?;
                builder.with_client_auth_cert(chain, key)?
            }
            _ => builder.with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }

    fn roots(&self, tls: &Tls) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        match (&self.ca, &tls.ca) {
            (Some(pem), Some(path)) => {
                for certificate in certificates(pem, path)? {
                    roots.add(certificate)?;
                }
            }
            // What can't be read of the system's is not believed.
            _ => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        Ok(roots)
    }
}

fn certificates(pem: &[u8], path: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(TlsError::Pem { what: "certificate", path: path.to_owned() }),
    }
}

/// A verifier that believes every certificate, as the strategy asks for, of whoever has its key.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
