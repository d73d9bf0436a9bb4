use std::net::SocketAddr;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::SupportedProtocolVersion;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::*;
use crate::extproc::authority::tests::encoder::{Coding, Field, Frame, block, frames, literal, settings};
use crate::health;
use crate::tls::Certificate;

/// A server of health alone, whose streams go on until they are dropped.
struct Running {
    address: SocketAddr,
    ready: watch::Sender<bool>,
    closing: CancellationToken,
    served: JoinHandle<()>,
}

async fn start(serve: Serve) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (ready, rx) = watch::channel(true);
    let closing = CancellationToken::new();
    let routes = Routes::new(health::service(rx, CancellationToken::new()));
    let served = tokio::spawn(serve.run(listener, routes, closing.clone()));
    Running { address, ready, closing, served }
}

impl Running {
    async fn plaintext(&self) -> HealthClient<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        HealthClient::new(endpoint.connect().await.unwrap())
    }

    /// As Envoy AI Gateway connects: any certificate, ALPN h2.
    async fn tls(&self) -> HealthClient<Channel> {
        self.tls_of(rustls::ALL_VERSIONS).await.unwrap()
    }

    /// The same, with some versions only.
    async fn tls_of(
        &self,
        versions: &'static [&'static SupportedProtocolVersion],
    ) -> Result<HealthClient<Channel>, tonic::transport::Error> {
        let address = self.address;
        let connect = tower::service_fn(move |_: Uri| async move {
            let io = TcpStream::connect(address).await?;
            let mut config = rustls::ClientConfig::builder_with_provider(crate::tls::provider())
                .with_protocol_versions(versions)
                .unwrap()
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate))
                .with_no_client_auth();
            config.alpn_protocols = vec![b"h2".to_vec()];
            let name = ServerName::try_from("picker").unwrap();
            let io = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, io).await?;
            assert_eq!(io.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            std::io::Result::Ok(TokioIo::new(io))
        });
        let endpoint = Endpoint::from_static("http://picker");
        Ok(HealthClient::new(endpoint.connect_with_connector(connect).await?))
    }
}

#[derive(Debug)]
struct AnyCertificate;

impl rustls::client::danger::ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &rustls::pki_types::CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = crate::tls::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &rustls::pki_types::CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = crate::tls::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        crate::tls::provider().signature_verification_algorithms.supported_schemes()
    }
}

fn liveness() -> HealthCheckRequest {
    HealthCheckRequest { service: health::LIVENESS.into() }
}

fn readiness() -> HealthCheckRequest {
    HealthCheckRequest { service: "readiness".into() }
}

#[tokio::test]
async fn one_port_speaks_tls_and_plaintext() {
    let certificate = Certificate::self_signed(["picker.ns.svc".to_owned()]).unwrap();
    let running =
        start(Serve { tls: Some(certificate.acceptor(rustls::ALL_VERSIONS).unwrap()), ..Serve::default() })
            .await;
    // A client that says nothing holds up nobody.
    let _silent = TcpStream::connect(running.address).await.unwrap();
    for mut client in [running.tls().await, running.plaintext().await] {
        let answer = client.check(liveness()).await.unwrap();
        assert_eq!(answer.get_ref().status(), ServingStatus::Serving);
    }
}

#[tokio::test]
async fn old_versions_of_tls_can_be_refused() {
    let certificate = Certificate::self_signed(["picker.ns.svc".to_owned()]).unwrap();
    const OLD: &[&SupportedProtocolVersion] = &[&TLS12];
    const NEW: &[&SupportedProtocolVersion] = &[&TLS13];
    for (taken, expected) in [(rustls::ALL_VERSIONS, [true, true]), (NEW, [false, true])] {
        let acceptor = certificate.acceptor(taken).unwrap();
        let running = start(Serve { tls: Some(acceptor), ..Serve::default() }).await;
        let connected = [running.tls_of(OLD).await.is_ok(), running.tls_of(NEW).await.is_ok()];
        assert_eq!(connected, expected);
    }
}

#[tokio::test]
async fn a_silent_connection_is_closed_at_the_deadline() {
    let running = start(Serve { handshake: Duration::ZERO, ..Serve::default() }).await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(20), silent.read(&mut [0])).await;
    assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
}

#[tokio::test]
async fn a_connection_that_only_begins_is_closed_at_the_deadline() {
    let running = start(Serve { handshake: Duration::from_millis(20), ..Serve::default() }).await;
    let mut slow = TcpStream::connect(running.address).await.unwrap();
    slow.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    // It gets the server's settings at once, and then the end.
    let closed = tokio::time::timeout(Duration::from_secs(20), slow.read_to_end(&mut Vec::new())).await;
    assert!(closed.is_ok(), "it is still open");
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_a_place() {
    let running =
        start(Serve { bounds: Bounds { connections: 1, ..Serve::default().bounds }, ..Serve::default() })
            .await;
    let mut first = running.plaintext().await;
    first.check(liveness()).await.unwrap();
    let address = running.address;
    let waits = tokio::spawn(async move {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        HealthClient::new(endpoint.connect().await.unwrap()).check(liveness()).await
    });
    for _ in 0..50 {
        first.check(liveness()).await.unwrap();
    }
    assert!(!waits.is_finished());
    drop(first);
    let answer = tokio::time::timeout(Duration::from_secs(20), waits).await.expect("a place");
    assert_eq!(answer.unwrap().unwrap().get_ref().status(), ServingStatus::Serving);
}

#[tokio::test]
async fn a_peer_with_too_many_connections_gets_no_further_one() {
    let running =
        start(Serve { bounds: Bounds { per_peer: 1, ..Serve::default().bounds }, ..Serve::default() }).await;
    let mut first = running.plaintext().await;
    first.check(liveness()).await.unwrap();
    let mut second = TcpStream::connect(running.address).await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(5), second.read(&mut [0])).await;
    assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
    first.check(liveness()).await.unwrap();
}

#[tokio::test]
async fn a_connection_lives_on_no_longer_than_it_may() {
    let age = Some(Duration::from_millis(20));
    let running = start(Serve { connection_age: age, linger: age, ..Serve::default() }).await;
    let mut held = running.plaintext().await.watch(readiness()).await.unwrap().into_inner();
    let ended = async { while let Ok(Some(_)) = held.message().await {} };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("an end");
}

#[tokio::test]
async fn an_old_connection_sends_new_streams_away_and_keeps_its_own() {
    let running = start(Serve { connection_age: Some(Duration::from_millis(20)), ..Serve::default() }).await;
    let io = TcpStream::connect(running.address).await.unwrap();
    let (client, connection) = h2::client::handshake(io).await.unwrap();
    let driven = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let request = http::Request::post("http://picker/grpc.health.v1.Health/Watch")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (response, mut sender) = client.send_request(request.clone(), false).unwrap();
    // A gRPC message: no compression, 11 bytes, field 1 of 9 bytes.
    sender.send_data(b"\x00\x00\x00\x00\x0b\x0a\x09readiness"[..].into(), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), &b"\x00\x00\x00\x00\x02\x08\x01"[..]);

    // Told to go away.
    while let Ok(ready) = client.clone().ready().await {
        client = ready;
        match client.send_request(request.clone(), true) {
            Ok((response, _)) => drop(response.await),
            Err(_) => break,
        }
    }
    running.ready.send_replace(false);
    assert_eq!(body.data().await.unwrap().unwrap(), &b"\x00\x00\x00\x00\x02\x08\x02"[..]);
    drop((body, sender, client));
    driven.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_graceful_end_takes_nothing_new_and_waits_for_the_last_stream() {
    let running = start(Serve::default()).await;
    let mut client = running.plaintext().await;
    let mut stream = client.watch(readiness()).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    running.closing.cancel();
    // The listener is gone as soon as the cancellation was seen.
    while TcpStream::connect(running.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!running.served.is_finished());
    running.ready.send_replace(false);
    assert_eq!(stream.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    drop(stream);
    running.served.await.unwrap();
}

#[tokio::test]
async fn a_thousand_streams_share_a_connection() {
    let running = start(Serve::default()).await;
    let client = running.plaintext().await;
    let mut streams = Vec::new();
    for _ in 0..1000 {
        let mut stream = client.clone().watch(readiness()).await.unwrap().into_inner();
        assert_eq!(stream.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
        streams.push(stream);
    }
    running.ready.send_replace(false);
    for stream in &mut streams {
        assert_eq!(stream.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    }
}

#[tokio::test]
async fn a_stream_with_the_authority_of_istio_is_served() {
    let running = start(Serve::default()).await;
    let path = b"/grpc.health.v1.Health/Check";
    let fields = [
        Field::Static(3),
        Field::Static(6),
        literal(":path", path, Coding::Huffman),
        literal(":authority", b"outbound|9002||picker.ns.svc.cluster.local", Coding::Huffman),
        literal("content-type", b"application/grpc", Coding::Plain),
    ];
    let mut io = TcpStream::connect(running.address).await.unwrap();
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    request.extend(settings());
    request.extend(frames(1, &block(&fields), &Frame { end_stream: true, ..Frame::default() }));
    io.write_all(&request).await.unwrap();
    // An answer (HEADERS, 1) and no reset (RST_STREAM, 3).
    let first_on_stream = loop {
        let mut head = [0; 9];
        io.read_exact(&mut head).await.unwrap();
        if head[5..] == [0, 0, 0, 1] {
            break head[3];
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        io.read_exact(&mut vec![0; length as usize]).await.unwrap();
    };
    assert_eq!(first_on_stream, 1);
}
