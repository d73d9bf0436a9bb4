//! The certificate that gateways are shown: made at start, or read from a directory and read again when it
//! changes.
//!
//! Gateways check no certificate of an endpoint picker today
//! (kubernetes-sigs/gateway-api-inference-extension#582), but several speak nothing but TLS to it.

mod files;

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio_rustls::TlsAcceptor;

pub use files::{Change, Files};

/// Why there is no certificate.
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
    /// A file holds nothing of its kind.
    #[error("no {what} in {path} (PEM): {why}")]
    Pem {
        /// A certificate or a private key.
        what: &'static str,
        /// The file.
        path: String,
        /// What is wrong with it, in words that tell nothing of the file's text.
        why: &'static str,
    },
    /// A key of a kind that is not supported, or one that is not the certificate's.
    #[error("certificate and key do not work together: {0}")]
    Pair(#[from] rustls::Error),
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// The certificate that serves, replaceable while connections come in.
#[derive(Debug)]
pub struct Certificate(ArcSwap<CertifiedKey>);

impl Certificate {
    fn new(key: CertifiedKey) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(key)))
    }

    fn replace(&self, key: CertifiedKey) {
        self.0.store(Arc::new(key));
    }

    /// A certificate of its own authority for `names` (DNS names or addresses), made now.
    ///
    /// # Errors
    /// When a name is neither.
    pub fn self_signed(names: impl Into<Vec<String>>) -> Result<Arc<Self>, TlsError> {
        let made = rcgen::generate_simple_self_signed(names)?;
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        Ok(Self::new(certified(vec![made.cert.der().clone()], key)?))
    }

    /// An acceptor of `versions` of TLS that offers HTTP/2 and shows this certificate.
    ///
    /// # Errors
    /// When the cryptography in use supports none of them.
    pub fn acceptor(
        self: &Arc<Self>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<TlsAcceptor, TlsError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, TlsError> {
    Ok(CertifiedKey::from_der(chain, key, &provider())?)
}
