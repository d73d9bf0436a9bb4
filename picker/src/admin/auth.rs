//! Authorisation of requests for metrics and debug pages by the API server, as with other Kubernetes components: a
//! TokenReview tells who the bearer of a token is, and a SubjectAccessReview whether they may `get` the path.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
/// How long a token that was allowed counts as verified: when it is to be reviewed again, it does not wait behind
/// tokens that anybody may have made up.
const VERIFIED: Duration = Duration::from_secs(3600);
/// The most answers that are remembered, of those that allow and of the others; clients choose the tokens.
const REMEMBERED: usize = 256;
/// The most reviews at once of verified tokens, and of others; anybody can ask with a token of their own making.
const AT_ONCE: usize = 4;
/// The most tokens that wait for a review. Further ones are refused at once.
const QUEUED: usize = 16;
/// The longest that a request waits for a review and its answer.
const DEADLINE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;

/// The authoriser, which asks the API server and remembers its answers for a minute.
#[derive(Clone)]
pub struct Auth {
    client: Client,
    answers: Arc<Mutex<Answers>>,
    /// Keyed at random, so that nobody can make two tokens of one hash.
    hasher: RandomState,
    /// Permits for verified tokens under review.
    verified: Arc<Semaphore>,
    /// Permits for tokens not yet verified: under review.
    unverified: Arc<Semaphore>,
    /// Permits for tokens not yet verified: under review plus queued.
    unverified_or_queued: Arc<Semaphore>,
}

/// The answers of the API server with their times, by hash of token and path. Nobody can fill those that allow with
/// tokens of their own making.
#[derive(Debug, Default)]
struct Answers {
    allowed: HashMap<u64, Instant>,
    refused: HashMap<u64, (Verdict, Instant)>,
}

impl Answers {
    /// The answer that is still good.
    fn get(&self, key: u64, now: Instant) -> Option<Verdict> {
        let good = |at: &Instant| now.duration_since(*at) < GOOD_FOR;
        let allowed = self.allowed.get(&key).filter(|at| good(at)).map(|_| Verdict::Allowed);
        allowed.or_else(|| self.refused.get(&key).filter(|(_, at)| good(at)).map(|(verdict, _)| *verdict))
    }

    fn is_verified(&self, key: u64, now: Instant) -> bool {
        self.allowed.get(&key).is_some_and(|at| now.duration_since(*at) < VERIFIED)
    }

    fn insert(&mut self, key: u64, verdict: Verdict, now: Instant) {
        self.allowed.remove(&key);
        self.refused.remove(&key);
        match verdict {
            Verdict::Allowed => {
                make_room(&mut self.allowed, |at| *at);
                self.allowed.insert(key, now);
            }
            _ => {
                make_room(&mut self.refused, |(_, at)| *at);
                self.refused.insert(key, (verdict, now));
            }
        }
    }
}

/// Takes the oldest of `answers` out when there are as many as are remembered.
fn make_room<T>(answers: &mut HashMap<u64, T>, at: impl Fn(&T) -> Instant) {
    if answers.len() >= REMEMBERED
        && let Some(oldest) = answers.iter().min_by_key(|(_, answer)| at(answer)).map(|(key, _)| *key)
    {
        answers.remove(&oldest);
    }
}

/// The reason why there is no verdict.
#[derive(Debug)]
enum Failed {
    /// Too many tokens that are not yet verified are under review or queued.
    Busy,
    /// The API server doesn't answer.
    Away(kube::Error),
}

/// The answer of the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The bearer may get the path.
    Allowed,
    /// The token is not valid.
    Unknown,
    /// The bearer may not get the path.
    Forbidden,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").finish_non_exhaustive()
    }
}

impl Auth {
    /// An authoriser that asks with `client`.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            answers: Arc::default(),
            hasher: RandomState::new(),
            verified: Arc::new(Semaphore::new(AT_ONCE)),
            unverified: Arc::new(Semaphore::new(AT_ONCE)),
            unverified_or_queued: Arc::new(Semaphore::new(AT_ONCE + QUEUED)),
        }
    }

    async fn verdict(&self, token: &str, path: &str) -> Result<Verdict, Failed> {
        let key = self.hasher.hash_one((token, path));
        let now = Instant::now();
        let verified = {
            let answers = self.answers();
            if let Some(verdict) = answers.get(key, now) {
                return Ok(verdict);
            }
            answers.is_verified(key, now)
        };
        let (reviews, _queued) = if verified {
            (&self.verified, None)
        } else {
            let queued = self.unverified_or_queued.try_acquire().map_err(|_| Failed::Busy)?;
            (&self.unverified, Some(queued))
        };
        let review = async {
            // It is never closed.
            let _permit = reviews.acquire().await;
            self.ask(token, path).await
        };
        let verdict = match timeout(DEADLINE, review).await {
            Ok(verdict) => verdict.map_err(Failed::Away)?,
            Err(late) => return Err(Failed::Away(kube::Error::Service(late.into()))),
        };
        self.answers().insert(key, verdict, now);
        Ok(verdict)
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
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
        Err(Failed::Busy) => {
            (StatusCode::SERVICE_UNAVAILABLE, "too many ask at once; try again later\n").into_response()
        }
        Err(Failed::Away(error)) => {
            tracing::warn!(error = chain(&error), "the API server can't say who may see metrics");
            (StatusCode::SERVICE_UNAVAILABLE, "the API server can't say who may see this\n").into_response()
        }
    }
}
