//! Answers that are made for one reader each, and held in memory until they are read.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use futures::stream;
use tokio::sync::OwnedSemaphorePermit;

/// Bytes that a reader takes at a time.
const PIECE: usize = 64 << 10;

/// The body with `text`. It keeps `permit` until all but the last piece were read.
pub(super) fn held(text: String, permit: OwnedSemaphorePermit) -> Body {
    let pieces = stream::unfold((Bytes::from(text), permit), |(mut left, permit)| async move {
        let piece = left.split_to(left.len().min(PIECE));
        (!piece.is_empty()).then_some((Ok::<_, Infallible>(piece), (left, permit)))
    });
    Body::from_stream(pieces)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn a_permit_is_kept_until_all_is_read() {
        let permits = Arc::new(Semaphore::new(1));
        let text = "x".repeat(2 * PIECE + 1);
        let mut body = held(text.clone(), permits.clone().acquire_owned().await.unwrap());
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((first.len(), permits.available_permits()), (PIECE, 0));
        let rest = body.collect().await.unwrap().to_bytes();
        assert_eq!((first.len() + rest.len(), permits.available_permits()), (text.len(), 1));
        // Whoever goes gives it back.
        drop(held(text, permits.clone().acquire_owned().await.unwrap()));
        assert_eq!(permits.available_permits(), 1);
    }
}
