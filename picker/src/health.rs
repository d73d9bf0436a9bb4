//! The gRPC health service, under the names that gateways, guides and Kubernetes ask for.

use std::pin::Pin;

use futures::stream::{self, Stream, StreamExt};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// The name that is SERVING for as long as the process can answer.
pub const LIVENESS: &str = "liveness";

/// The names that are SERVING while the picker is ready: the process as a whole, llm-d's and GIE's name for it, the name of
/// the protocol, and the ext_proc service, which gateways ask for on its own port.
pub const READINESS: [&str; 4] =
    ["", "readiness", "inference-extension", "envoy.service.ext_proc.v3.ExternalProcessor"];

/// The longest request, in bytes: the longest name and some more.
const LONGEST: usize = 1 << 10;

/// A health service that follows `ready`. Calls of `Watch` end when `closing` is cancelled, or a graceful
/// end would wait for them.
pub fn service(ready: watch::Receiver<bool>, closing: CancellationToken) -> HealthServer<impl Health> {
    HealthServer::new(Service { ready, closing }).max_decoding_message_size(LONGEST)
}

struct Service {
    ready: watch::Receiver<bool>,
    closing: CancellationToken,
}

enum Name {
    Liveness,
    Readiness,
}

impl Name {
    fn of(service: &str) -> Option<Self> {
        match service {
            LIVENESS => Some(Self::Liveness),
            other if READINESS.contains(&other) => Some(Self::Readiness),
            _ => None,
        }
    }
}

fn status(ready: bool) -> HealthCheckResponse {
    response(if ready { ServingStatus::Serving } else { ServingStatus::NotServing })
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl Health for Service {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match Name::of(&request.get_ref().service) {
            Some(Name::Liveness) => Ok(Response::new(status(true))),
            Some(Name::Readiness) => Ok(Response::new(status(*self.ready.borrow()))),
            None => Err(Status::not_found(format!(
                "no service {:?} here; known are {LIVENESS:?} and {READINESS:?}",
                request.get_ref().service
            ))),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let only =
            |status| stream::once(async move { response(status) }).chain(stream::pending()).left_stream();
        let statuses = match Name::of(&request.get_ref().service) {
            Some(Name::Liveness) => only(ServingStatus::Serving),
            Some(Name::Readiness) => WatchStream::new(self.ready.clone()).map(status).right_stream(),
            // By the protocol a watched name may come to be known later, so this is no error.
            None => only(ServingStatus::ServiceUnknown),
        };
        Ok(Response::new(statuses.map(Ok).take_until(self.closing.clone().cancelled_owned()).boxed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(service: &str) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest { service: service.into() })
    }

    async fn checks(service: &Service) -> Vec<(&'static str, ServingStatus)> {
        let mut all = Vec::new();
        for name in READINESS.into_iter().chain([LIVENESS]) {
            all.push((name, service.check(ask(name)).await.unwrap().get_ref().status()));
        }
        all
    }

    fn all(readiness: ServingStatus) -> Vec<(&'static str, ServingStatus)> {
        READINESS
            .map(|name| (name, readiness))
            .into_iter()
            .chain([(LIVENESS, ServingStatus::Serving)])
            .collect()
    }

    #[tokio::test]
    async fn readiness_follows_and_liveness_does_not() {
        let (ready, rx) = watch::channel(false);
        let service = Service { ready: rx, closing: CancellationToken::new() };
        assert_eq!(checks(&service).await, all(ServingStatus::NotServing));
        ready.send_replace(true);
        assert_eq!(checks(&service).await, all(ServingStatus::Serving));
        assert_eq!(service.check(ask("other")).await.unwrap_err().code(), tonic::Code::NotFound);
    }

    #[tokio::test]
    async fn a_watch_tells_every_change_and_ends_with_the_server() {
        let (ready, rx) = watch::channel(false);
        let closing = CancellationToken::new();
        let service = Service { ready: rx, closing: closing.clone() };
        let mut readiness = service.watch(ask("readiness")).await.unwrap().into_inner();
        let mut unknown = service.watch(ask("other")).await.unwrap().into_inner();
        let mut next = async || readiness.next().await.map(|r| r.unwrap().status());
        assert_eq!(next().await, Some(ServingStatus::NotServing));
        ready.send_replace(true);
        assert_eq!(next().await, Some(ServingStatus::Serving));
        assert_eq!(unknown.next().await.unwrap().unwrap().status(), ServingStatus::ServiceUnknown);
        closing.cancel();
        assert_eq!(next().await, None);
        assert!(unknown.next().await.is_none());
    }
}
