mod same_answers;

use std::net::SocketAddr;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rcgen::CertifiedKey;
use rstest::rstest;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::server::HealthReporter;

use super::StreamTasks::{Joined, Spawned};
use super::*;
use crate::authority::tests::encoder::{Coding, Field, Frame, block, frames, literal, settings};

/// A server of health alone, whose streams go on until they are dropped.
struct Running {
    address: SocketAddr,
    health: HealthReporter,
    closing: CancellationToken,
    served: JoinHandle<()>,
}

async fn start(server: Server) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (health, service) = tonic_health::server::health_reporter();
    let closing = CancellationToken::new();
    let running = Running {
        address,
        health,
        closing: closing.clone(),
        served: tokio::spawn(server.run(listener, Routes::new(service), closing)),
    };
    running.set(tonic_health::ServingStatus::Serving).await;
    running
}

impl Running {
    async fn set(&self, status: tonic_health::ServingStatus) {
        self.health.set_service_status("readiness", status).await;
    }

    async fn plaintext(&self) -> HealthClient<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        HealthClient::new(endpoint.connect().await.unwrap())
    }

    /// As Envoy AI Gateway connects: ALPN h2.
    async fn tls(&self, certificate: &CertifiedKey<rcgen::KeyPair>) -> HealthClient<Channel> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.cert.der().clone()).unwrap();
        let mut config = rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let (connector, address) = (tokio_rustls::TlsConnector::from(Arc::new(config)), self.address);
        let connect = tower::service_fn(move |_: Uri| {
            let connector = connector.clone();
            async move {
                let io = TcpStream::connect(address).await?;
                let io = connector.connect(ServerName::try_from("picker").unwrap(), io).await?;
                assert_eq!(io.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
                std::io::Result::Ok(TokioIo::new(io))
            }
        });
        let endpoint = Endpoint::from_static("http://picker");
        HealthClient::new(endpoint.connect_with_connector(connect).await.unwrap())
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn acceptor(certificate: &CertifiedKey<rcgen::KeyPair>) -> TlsAcceptor {
    let key = PrivateKeyDer::Pkcs8(certificate.signing_key.serialize_der().into());
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

fn readiness() -> HealthCheckRequest {
    HealthCheckRequest { service: "readiness".into() }
}

#[rstest]
#[tokio::test]
async fn one_port_speaks_tls_and_plaintext(#[values(Joined, Spawned)] stream_tasks: StreamTasks) {
    let certificate = rcgen::generate_simple_self_signed(["picker".to_owned()]).unwrap();
    let running =
        start(Server { tls: Some(acceptor(&certificate)), stream_tasks, ..Server::default() }).await;
    // A client that says nothing holds up nobody.
    let _silent = TcpStream::connect(running.address).await.unwrap();
    for mut client in [running.tls(&certificate).await, running.plaintext().await] {
        let answer = client.check(readiness()).await.unwrap();
        assert_eq!(answer.get_ref().status(), ServingStatus::Serving);
    }
}

#[tokio::test]
async fn plaintext_can_be_refused() {
    let certificate = rcgen::generate_simple_self_signed(["picker".to_owned()]).unwrap();
    let running =
        start(Server { tls: Some(acceptor(&certificate)), plaintext: false, ..Server::default() }).await;
    running.tls(&certificate).await.check(readiness()).await.unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", running.address)).unwrap();
    let answered = HealthClient::new(endpoint.connect_lazy()).check(readiness()).await;
    assert!(answered.is_err(), "{answered:?}");
}

#[tokio::test]
async fn a_silent_connection_is_closed_at_the_deadline() {
    let running = start(Server { handshake: Duration::ZERO, ..Server::default() }).await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(20), silent.read(&mut [0])).await;
    assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
}

#[tokio::test]
async fn a_connection_that_only_begins_is_closed_at_the_deadline() {
    let running = start(Server { handshake: Duration::from_millis(20), ..Server::default() }).await;
    let mut slow = TcpStream::connect(running.address).await.unwrap();
    slow.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    // It gets the server's settings at once, and then the end.
    let closed = tokio::time::timeout(Duration::from_secs(20), slow.read_to_end(&mut Vec::new())).await;
    assert!(closed.is_ok(), "it is still open");
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_a_place() {
    let running = start(Server {
        limits: ConnectionLimits { connections: 1, ..Server::default().limits },
        ..Server::default()
    })
    .await;
    let mut first = running.plaintext().await;
    first.check(readiness()).await.unwrap();
    let address = running.address;
    let waits = tokio::spawn(async move {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        HealthClient::new(endpoint.connect().await.unwrap()).check(readiness()).await
    });
    for _ in 0..50 {
        first.check(readiness()).await.unwrap();
    }
    assert!(!waits.is_finished());
    drop(first);
    let answer = tokio::time::timeout(Duration::from_secs(20), waits).await.expect("a place");
    assert_eq!(answer.unwrap().unwrap().get_ref().status(), ServingStatus::Serving);
}

#[tokio::test]
async fn a_peer_with_too_many_connections_gets_no_further_one() {
    let running = start(Server {
        limits: ConnectionLimits { per_peer: 1, ..Server::default().limits },
        ..Server::default()
    })
    .await;
    let mut first = running.plaintext().await;
    first.check(readiness()).await.unwrap();
    let mut second = TcpStream::connect(running.address).await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(5), second.read(&mut [0])).await;
    assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
    first.check(readiness()).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_connection_lives_on_no_longer_than_it_may(#[values(Joined, Spawned)] stream_tasks: StreamTasks) {
    let age = Some(Duration::from_millis(20));
    let running = start(Server { connection_age: age, linger: age, stream_tasks, ..Server::default() }).await;
    let mut held = running.plaintext().await.watch(readiness()).await.unwrap().into_inner();
    let ended = async { while let Ok(Some(_)) = held.message().await {} };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("an end");
}

#[rstest]
#[tokio::test]
async fn an_old_connection_sends_new_streams_away_and_keeps_its_own(
    #[values(Joined, Spawned)] stream_tasks: StreamTasks,
) {
    let running =
        start(Server { connection_age: Some(Duration::from_millis(20)), stream_tasks, ..Server::default() })
            .await;
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
    running.set(tonic_health::ServingStatus::NotServing).await;
    assert_eq!(body.data().await.unwrap().unwrap(), &b"\x00\x00\x00\x00\x02\x08\x02"[..]);
    drop((body, sender, client));
    driven.await.unwrap().unwrap();
}

#[rstest]
#[tokio::test]
async fn a_graceful_end_takes_nothing_new_and_waits_for_the_last_stream(
    #[values(Joined, Spawned)] stream_tasks: StreamTasks,
) {
    let running = start(Server { stream_tasks, ..Server::default() }).await;
    let mut client = running.plaintext().await;
    let mut stream = client.watch(readiness()).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    running.closing.cancel();
    // The listener is gone as soon as the cancellation was seen.
    while TcpStream::connect(running.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!running.served.is_finished());
    running.set(tonic_health::ServingStatus::NotServing).await;
    assert_eq!(stream.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    drop(stream);
    running.served.await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_thousand_streams_share_a_connection(#[values(Joined, Spawned)] stream_tasks: StreamTasks) {
    let running = start(Server { stream_tasks, ..Server::default() }).await;
    let client = running.plaintext().await;
    let mut streams = Vec::new();
    for _ in 0..1000 {
        let mut stream = client.clone().watch(readiness()).await.unwrap().into_inner();
        assert_eq!(stream.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
        streams.push(stream);
    }
    running.set(tonic_health::ServingStatus::NotServing).await;
    for stream in &mut streams {
        assert_eq!(stream.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    }
}

#[rstest]
#[tokio::test]
async fn a_stream_with_the_authority_of_istio_is_served(
    #[values(Joined, Spawned)] stream_tasks: StreamTasks,
) {
    let running = start(Server { stream_tasks, ..Server::default() }).await;
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
