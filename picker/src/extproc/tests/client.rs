//! A gateway's end of a connection.

use std::net::SocketAddr;
use std::time::Duration;

use picker_proto::external_processor_client::ExternalProcessorClient;
use picker_proto::{ProcessingRequest, ProcessingResponse};
use picker_serve::Server;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use super::Fixture;
use crate::extproc::{Answers, Service};

/// What a gateway does and must see.
pub enum Step {
    Send(ProcessingRequest),
    Get(ProcessingResponse),
}

/// A picker that serves on a port of its own.
pub struct Picker {
    pub fixture: Fixture,
    pub address: SocketAddr,
    client: ExternalProcessorClient<Channel>,
    served: JoinHandle<()>,
}

impl Drop for Picker {
    fn drop(&mut self) {
        self.served.abort();
    }
}

impl Picker {
    pub async fn start(fixture: Fixture) -> Self {
        let answers = Answers::Picker(fixture.pool.clone());
        Self::answering(fixture, answers).await
    }

    /// The same with other answers than those of the fixture's pool.
    pub async fn answering(fixture: Fixture, answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = Service::of(answers, Routes::default());
        let server = Server::default();
        let each = move |meter: &_| service.of_connection(meter);
        let served = tokio::spawn(server.run_each(listener, each, CancellationToken::new()));
        let client = ExternalProcessorClient::connect(format!("http://{address}")).await.unwrap();
        Self { fixture, address, client, served }
    }

    /// Opens a stream.
    pub async fn open(&self) -> Stream {
        let (requests, rx) = mpsc::channel(64);
        let mut client = self.client.clone();
        let answers = client.process(ReceiverStream::new(rx)).await.unwrap().into_inner();
        Stream { requests: Some(requests), answers }
    }

    /// Goes through `steps` on a stream of its own, ends the requests, and sees that nothing more is
    /// answered.
    pub async fn play(&self, steps: Vec<Step>) {
        let mut stream = self.open().await;
        stream.play(steps).await;
        stream.requests = None;
        assert_eq!(stream.get().await.unwrap(), None);
    }
}

/// One stream.
pub struct Stream {
    pub requests: Option<mpsc::Sender<ProcessingRequest>>,
    answers: Streaming<ProcessingResponse>,
}

impl Stream {
    pub async fn send(&self, message: ProcessingRequest) {
        self.requests.as_ref().unwrap().send(message).await.unwrap();
    }

    /// The next answer. One that does not come is an error of its own.
    pub async fn get(&mut self) -> Result<Option<ProcessingResponse>, Status> {
        let answer = tokio::time::timeout(Duration::from_secs(20), self.answers.message());
        answer.await.expect("an answer, or the end of the stream")
    }

    pub async fn play(&mut self, steps: Vec<Step>) {
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Send(message) => self.send(message).await,
                Step::Get(expected) => assert_eq!(self.get().await.unwrap(), Some(expected), "step {n}"),
            }
        }
    }
}
