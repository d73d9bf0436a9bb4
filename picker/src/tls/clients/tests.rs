use std::fs;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::super::Certificate;
use super::*;

/// An authority, and a client's certificate of it with its key.
struct Authority {
    pem: String,
    client: (CertificateDer<'static>, Vec<u8>),
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let client = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["gateway".to_owned()]).unwrap().signed_by(&client, &issuer).unwrap();
        Self { pem, client: (certificate.der().clone(), client.serialize_der()) }
    }
}

/// A picker's side, and what clients of it have.
struct Picker {
    acceptor: TlsAcceptor,
    roots: Arc<RootCertStore>,
}

impl Picker {
    fn new(clients: &Arc<Clients>) -> Self {
        let certificate = Certificate::self_signed(["picker".to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.0.load().cert[0].clone()).unwrap();
        let acceptor = certificate.acceptor(rustls::ALL_VERSIONS, Some(clients.clone())).unwrap();
        Self { acceptor, roots: Arc::new(roots) }
    }

    /// A client with the certificate of this authority, or none.
    fn client(
        &self,
        authority: Option<&Authority>,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> TlsConnector {
        let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[version]);
        let config = config.unwrap().with_root_certificates(self.roots.clone());
        let config = match authority {
            None => config.with_no_client_auth(),
            Some(Authority { client: (certificate, key), .. }) => {
                let key = PrivateKeyDer::Pkcs8(key.clone().into());
                config.with_client_auth_cert(vec![certificate.clone()], key).unwrap()
            }
        };
        TlsConnector::from(Arc::new(config))
    }

    async fn serves(&self, client: &TlsConnector) -> bool {
        let (io, server) = tokio::io::duplex(16 << 10);
        let connect = async {
            let mut io = client.connect("picker".try_into().unwrap(), io).await?;
            io.read_u8().await
        };
        let serve = async {
            let mut io = self.acceptor.accept(server).await?;
            io.write_all(&[7]).await?;
            io.shutdown().await
        };
        let (served, read) = tokio::join!(serve, connect);
        served.is_ok() && read.is_ok()
    }
}

#[tokio::test]
async fn clients_of_an_authority_are_served_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.crt");
    let (ours, theirs) = (Authority::new(), Authority::new());
    fs::write(&path, &ours.pem).unwrap();
    let mut ca = ClientCa::open(&path).unwrap();
    let picker = Picker::new(ca.clients());
    for version in [&TLS12, &TLS13] {
        for (of, served) in [(Some(&ours), true), (Some(&theirs), false), (None, false)] {
            assert_eq!(picker.serves(&picker.client(of, version)).await, served);
        }
    }
    assert!(!ca.check().unwrap());
    // Both while one takes the place of the other; what is broken changes nothing.
    let [our_old, our_new] = [&TLS12, &TLS13].map(|version| picker.client(Some(&ours), version));
    let their = picker.client(Some(&theirs), &TLS13);
    fs::write(&path, format!("{}{}", ours.pem, theirs.pem)).unwrap();
    assert!(ca.check().unwrap());
    assert!(picker.serves(&their).await);
    fs::write(&path, "no certificate").unwrap();
    let error = ca.check().unwrap_err().to_string();
    assert_eq!(error, format!("no certificate in {} (PEM): there is none", path.display()));
    for client in [&our_old, &our_new] {
        assert!(picker.serves(client).await);
    }
    // Nor by a session that began before.
    fs::write(&path, &theirs.pem).unwrap();
    assert!(ca.check().unwrap());
    for (client, served) in [(&our_old, false), (&our_new, false), (&their, true)] {
        assert_eq!(picker.serves(client).await, served);
    }
}
