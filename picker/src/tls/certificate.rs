//! The certificate that is shown in TLS handshakes, replaceable while it serves.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio_rustls::TlsAcceptor;

/// The reason why there is no certificate.
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

/// A certificate with its key that serves, replaceable while connections come in.
#[derive(Debug)]
pub struct Certificate(pub(super) ArcSwap<CertifiedKey>);

impl Certificate {
    /// Serves `key`.
    pub(super) fn new(key: CertifiedKey) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(key)))
    }

    /// Serves `key` to connections from now on.
    pub(super) fn replace(&self, key: CertifiedKey) {
        self.0.store(Arc::new(key));
    }

    /// A self-signed certificate for `names` (DNS names or addresses), made now.
    ///
    /// # Errors
    /// When a name is neither.
    pub fn self_signed(names: impl Into<Vec<String>>) -> Result<Arc<Self>, TlsError> {
        let made = rcgen::generate_simple_self_signed(names)?;
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        Ok(Self::new(certified(vec![made.cert.der().clone()], key)?))
    }

    /// An acceptor of `versions` of TLS that offers HTTP/2 and shows this certificate, to all clients or to those with a
    /// certificate that `clients` takes.
    ///
    /// # Errors
    /// When the cryptography in use supports none of them.
    pub fn acceptor(
        self: &Arc<Self>,
        versions: &[&'static SupportedProtocolVersion],
        clients: Option<Arc<dyn ClientCertVerifier>>,
    ) -> Result<TlsAcceptor, TlsError> {
        let config = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions)?;
        let mut config = match clients {
            Some(clients) => {
                let config = config.with_client_cert_verifier(clients);
                let mut config = config.with_cert_resolver(self.clone());
                // A session that goes on would not look at the client's certificate again.
                config.session_storage = Arc::new(NoServerSessionStorage {});
                config.send_tls13_tickets = 0;
                config
            }
            None => config.with_no_client_auth().with_cert_resolver(self.clone()),
        };
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

/// The pair of a certificate chain and the key of its first certificate.
pub(super) fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, TlsError> {
    Ok(CertifiedKey::from_der(chain, key, &provider())?)
}

#[cfg(test)]
mod tests {
    use rustls::version::{TLS12, TLS13};
    use rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::TlsConnector;

    use super::*;

    /// Whether a client that speaks `offered` alone is served by `acceptor`.
    async fn is_served(
        certificate: &Certificate,
        acceptor: &TlsAcceptor,
        offered: &[&'static SupportedProtocolVersion],
    ) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.0.load().cert[0].clone()).unwrap();
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(offered)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (client, server) = tokio::io::duplex(16 << 10);
        let connector = TlsConnector::from(Arc::new(config));
        let connect = connector.connect("picker.ns.svc".try_into().unwrap(), client);
        let (served, connected) = tokio::join!(acceptor.accept(server), connect);
        served.is_ok() && connected.is_ok()
    }

    #[tokio::test]
    async fn old_versions_of_tls_can_be_refused() {
        let certificate = Certificate::self_signed(["picker.ns.svc".to_owned()]).unwrap();
        const NEW: &[&SupportedProtocolVersion] = &[&TLS13];
        for (taken, expected) in [(rustls::ALL_VERSIONS, [true, true]), (NEW, [false, true])] {
            let acceptor = certificate.acceptor(taken, None).unwrap();
            let served = [
                is_served(&certificate, &acceptor, &[&TLS12]).await,
                is_served(&certificate, &acceptor, NEW).await,
            ];
            assert_eq!(served, expected);
        }
    }
}
