//! The certificate of all servers under `--tls`, and the one cipher suite that clients offer.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{CipherSuite, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The suite. Go and rustls would choose different ones by themselves, and would then be compared by their ciphers.
pub const SUITE: CipherSuite = CipherSuite::TLS13_AES_128_GCM_SHA256;
const NAME: &str = "picker.example.com";
/// As a Secret has them.
pub const CERTIFICATE: &str = "tls.crt";
/// The key to the certificate.
pub const KEY: &str = "tls.key";

/// Who the servers say that they are.
#[derive(Clone)]
pub struct Identity {
    connector: TlsConnector,
}

impl Identity {
    /// Makes one (ECDSA over P-256) and writes it to `folder`.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn made(folder: &Path) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        std::fs::write(folder.join(CERTIFICATE), made.cert.pem())?;
        std::fs::write(folder.join(KEY), made.signing_key.serialize_pem())?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;

        let mut provider = ring::default_provider();
        provider.cipher_suites.retain(|suite| suite.suite() == SUITE);
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { connector: TlsConnector::from(Arc::new(config)) })
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// When the other side is someone else, or wants another suite or protocol.
    pub async fn connect(&self, io: TcpStream) -> Result<TlsStream<TcpStream>> {
        let io = self.connector.connect(ServerName::try_from(NAME)?, io).await.context("shaking hands")?;
        let agreed = &io.get_ref().1;
        let suite = agreed.negotiated_cipher_suite().map(|suite| suite.suite());
        ensure!(suite == Some(SUITE), "the suite is {suite:?}");
        ensure!(agreed.alpn_protocol() == Some(b"h2"), "no HTTP/2: {:?}", agreed.alpn_protocol());
        Ok(io)
    }
}
