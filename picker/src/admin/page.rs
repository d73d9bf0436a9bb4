//! A page that is made for those who ask for it at a time, once for all of them.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// A page that took some time to make is good for so many times as long: making it takes a fifth of one core at most,
/// however often it is asked for.
const GOOD_FOR: u32 = 4;

type Text = Option<Bytes>;
type Make = dyn Fn() -> Option<String> + Send + Sync;

/// A page. Clones share it.
#[derive(Clone)]
pub(super) struct Page {
    content_type: &'static str,
    make: Arc<Make>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    last: Option<Made>,
    /// Is being made.
    next: Option<Shared<BoxFuture<'static, Text>>>,
}

/// A text that was made.
struct Made {
    text: Bytes,
    at: Instant,
    took: Duration,
}

impl Page {
    /// The page whose text `make` makes; `None` where it can't.
    pub(super) fn new(
        content_type: &'static str,
        make: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self { content_type, make: Arc::new(make), state: Arc::default() }
    }

    /// The page as it is now, or was a moment ago.
    pub(super) async fn get(&self) -> Response {
        let text = match self.made() {
            Ok(text) => Some(text),
            Err(next) => next.await,
        };
        match text {
            Some(text) => ([(header::CONTENT_TYPE, self.content_type)], text).into_response(),
            None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }

    /// The text that is still good, or the one to come.
    fn made(&self) -> Result<Bytes, Shared<BoxFuture<'static, Text>>> {
        let mut state = lock(&self.state);
        if let Some(Made { text, at, took }) = &state.last
            && at.elapsed() < *took * GOOD_FOR
        {
            return Ok(text.clone());
        }
        let next = state.next.get_or_insert_with(|| self.clone().next().boxed().shared()).clone();
        Err(next)
    }

    /// Makes the text on another thread, so that whoever else is served by this one does not wait. It is made to its end
    /// when all who asked have gone.
    async fn next(self) -> Text {
        let page = self.clone();
        let made = AbortOnDropHandle::new(tokio::task::spawn_blocking(move || page.now())).await;
        made.unwrap_or_else(|_| {
            lock(&self.state).next = None;
            None
        })
    }

    /// Makes the text.
    fn now(&self) -> Text {
        let began = Instant::now();
        let text = (self.make)().map(Bytes::from);
        let at = Instant::now();
        let mut state = lock(&self.state);
        state.next = None;
        state.last = text.clone().map(|text| Made { text, at, took: at - began });
        text
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("content_type", &self.content_type).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use futures::future::join_all;
    use http_body_util::BodyExt;

    use super::*;

    async fn text(page: &Page) -> (u16, String) {
        let answer = page.get().await;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// A page that says how often it was made, each time after `go` said so.
    fn counted() -> (Page, mpsc::Sender<()>) {
        let (go, may) = mpsc::channel();
        let (made, may) = (AtomicUsize::new(0), Mutex::new(may));
        let make = move || {
            may.lock().unwrap().recv().ok()?;
            Some(made.fetch_add(1, Ordering::Relaxed).to_string())
        };
        (Page::new("text/plain", make), go)
    }

    #[tokio::test]
    async fn all_who_ask_meanwhile_see_the_same() {
        let (page, go) = counted();
        let all = join_all((0..100).map(|_| text(&page)));
        let begin = async { go.send(()).unwrap() };
        let (seen, ()) = tokio::join!(all, begin);
        assert_eq!(seen, vec![(200, "0".to_owned()); 100]);
    }

    #[tokio::test]
    async fn a_page_is_good_for_a_time_and_made_anew_then() {
        let (page, go) = counted();
        go.send(()).unwrap();
        assert_eq!(text(&page).await.1, "0");
        lock(&page.state).last.as_mut().unwrap().took = Duration::from_secs(60);
        assert_eq!(text(&page).await.1, "0");
        lock(&page.state).last.as_mut().unwrap().took = Duration::ZERO;
        go.send(()).unwrap();
        assert_eq!(text(&page).await.1, "1");
    }

    #[tokio::test]
    async fn what_can_not_be_made_is_tried_again() {
        let (page, go) = counted();
        drop(go);
        assert_eq!([text(&page).await.0, text(&page).await.0], [500, 500]);
    }

    #[tokio::test]
    async fn what_was_made_for_one_who_has_gone_is_not_kept() {
        let (page, go) = counted();
        let mut gone = Box::pin(text(&page));
        assert!(futures::poll!(&mut gone).is_pending());
        drop(gone);
        go.send(()).unwrap();
        while lock(&page.state).last.is_none() {
            tokio::task::yield_now().await;
        }
        lock(&page.state).last.as_mut().unwrap().took = Duration::ZERO;
        go.send(()).unwrap();
        assert_eq!(text(&page).await.1, "1");
    }
}
