//! Who may see metrics: whoever the API server says may `get` the path, as with other Kubernetes
//! components. A TokenReview tells who the bearer is, a SubjectAccessReview whether they may.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::watch::events::chain;

/// How long an answer of the API server is good for.
const GOOD_FOR: Duration = Duration::from_secs(60);
/// Answers that are remembered; clients choose the tokens.
const REMEMBERED: usize = 256;
/// Questions to the API server at once; anybody can ask with a token of their own making.
const AT_ONCE: usize = 4;
/// The longest that someone waits for an answer, and for their turn to ask.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;

/// Asks the API server, and remembers its answers for a minute.
#[derive(Clone)]
pub struct Auth {
    client: Client,
    answers: Arc<Mutex<HashMap<u64, (Verdict, Instant)>>>,
    /// Keyed at random, so that nobody can make two tokens of one hash.
    hasher: RandomState,
    turns: Arc<Semaphore>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Unknown,
    Forbidden,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").finish_non_exhaustive()
    }
}

impl Auth {
    /// With `client` asked.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            answers: Arc::default(),
            hasher: RandomState::new(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    async fn verdict(&self, token: &str, path: &str) -> Result<Verdict, kube::Error> {
        let key = self.hasher.hash_one((token, path));
        let now = Instant::now();
        {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            answers.retain(|_, (_, until)| *until > now);
            if let Some((verdict, _)) = answers.get(&key) {
                return Ok(*verdict);
            }
        }
        let in_turn = async {
            // It is never closed.
            let _turn = self.turns.acquire().await;
            self.ask(token, path).await
        };
        let verdict = timeout(PATIENCE, in_turn).await.map_err(|e| kube::Error::Service(e.into()))??;
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= REMEMBERED
            && let Some(oldest) = answers.iter().min_by_key(|(_, (_, until))| *until).map(|(key, _)| *key)
        {
            answers.remove(&oldest);
        }
        answers.insert(key, (verdict, now + GOOD_FOR));
        Ok(verdict)
    }

    async fn ask(&self, token: &str, path: &str) -> Result<Verdict, kube::Error> {
        let spec = TokenReviewSpec { token: Some(token.to_owned()), ..Default::default() };
        let review = TokenReview { spec, ..Default::default() };
        let review = Api::all(self.client.clone()).create(&PostParams::default(), &review).await?;
        let Some(user) = review.status.filter(|s| s.authenticated == Some(true)).and_then(|s| s.user) else {
            return Ok(Verdict::Unknown);
        };
        let review = SubjectAccessReview { spec: may_get(user, path), ..Default::default() };
        let review = Api::all(self.client.clone()).create(&PostParams::default(), &review).await?;
        let allowed = review.status.is_some_and(|s| s.allowed);
        Ok(if allowed { Verdict::Allowed } else { Verdict::Forbidden })
    }
}

fn may_get(user: UserInfo, path: &str) -> SubjectAccessReviewSpec {
    SubjectAccessReviewSpec {
        extra: user.extra,
        groups: user.groups,
        user: user.username,
        uid: user.uid,
        non_resource_attributes: Some(NonResourceAttributes {
            path: Some(path.to_owned()),
            verb: Some("get".to_owned()),
        }),
        ..Default::default()
    }
}

/// Lets a request through when its bearer may get the path.
pub async fn guard(State(auth): State<Arc<Auth>>, request: Request, next: Next) -> Response {
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) = header.and_then(|value| value.strip_prefix("Bearer ")) else {
        return (StatusCode::UNAUTHORIZED, "a bearer token is needed\n").into_response();
    };
    match auth.verdict(token.trim(), request.uri().path()).await {
        Ok(Verdict::Allowed) => next.run(request).await,
        Ok(Verdict::Unknown) => (StatusCode::UNAUTHORIZED, "the token is not valid\n").into_response(),
        Ok(Verdict::Forbidden) => {
            (StatusCode::FORBIDDEN, "the bearer may not get this path\n").into_response()
        }
        Err(error) => {
            tracing::warn!(error = chain(&error), "the API server can't say who may see metrics");
            (StatusCode::SERVICE_UNAVAILABLE, "the API server can't say who may see this\n").into_response()
        }
    }
}
