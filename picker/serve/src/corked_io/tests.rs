use futures::{FutureExt, poll};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

fn flush(outgoing: &Flusher<DuplexStream>) {
    outgoing.flush(&mut Context::from_waker(std::task::Waker::noop()));
}

#[tokio::test]
async fn what_is_written_goes_out_together() {
    let (mut peer, io) = duplex(1 << 20);
    let (mut io, outgoing) = corked(io, Meter::default());
    let mut read = [0; 64];
    io.write_all(b"one ").await.unwrap();
    io.flush().await.unwrap();
    assert!(poll!(std::pin::pin!(peer.read(&mut read))).is_pending(), "before it is flushed");
    let slices = [IoSlice::new(b"two "), IoSlice::new(b""), IoSlice::new(b"three")];
    assert_eq!(io.write_vectored(&slices).await.unwrap(), 9);
    flush(&outgoing);
    assert_eq!(peer.read(&mut read).await.unwrap(), 13);
    assert_eq!(&read[..13], b"one two three");
}

#[tokio::test]
async fn a_peer_that_does_not_read_holds_up_the_writer() {
    let (mut peer, io) = duplex(100);
    let (mut io, outgoing) = corked(io, Meter::default());
    let sent = vec![7; 3 * SIZE];
    let mut written = 0;
    while let Some(more) = io.write(&sent[written..]).now_or_never() {
        written += more.unwrap();
    }
    assert_eq!(written, SIZE);
    let mut read = vec![0; written];
    let (_, all) = tokio::join!(
        async {
            while !lock(&outgoing.0).outgoing.left().is_empty() {
                flush(&outgoing);
                tokio::task::yield_now().await;
            }
        },
        peer.read_exact(&mut read)
    );
    assert_eq!((all.unwrap(), read == sent[..written]), (written, true));
}

#[tokio::test]
async fn an_end_sends_what_is_left() {
    let (mut peer, io) = duplex(1 << 20);
    let (mut io, _outgoing) = corked(io, Meter::default());
    io.write_all(b"last words").await.unwrap();
    io.shutdown().await.unwrap();
    let mut read = Vec::new();
    peer.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"last words");
}

#[tokio::test]
async fn a_failure_is_told_to_whoever_comes_next() {
    let (peer, io) = duplex(1 << 20);
    let (mut io, outgoing) = corked(io, Meter::default());
    io.write_all(b"to nobody").await.unwrap();
    drop(peer);
    flush(&outgoing);
    for failed in [io.write(b"more").await, io.read(&mut [0; 9]).await, io.flush().await.map(|()| 0)] {
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}

#[tokio::test]
async fn no_more_is_read_than_the_round_allows() {
    let (mut peer, io) = duplex(4 * READ_PER_ROUND);
    let (mut io, flusher) = corked(io, Meter::default());
    peer.write_all(&vec![7; 2 * READ_PER_ROUND]).await.unwrap();
    let mut read = vec![0; READ_PER_ROUND];
    io.read_exact(&mut read).await.unwrap();
    assert!(poll!(std::pin::pin!(io.read(&mut read))).is_pending());
    flusher.begin_round();
    io.read_exact(&mut read).await.unwrap();
}

#[tokio::test]
async fn from_a_peer_that_does_not_read_nothing_is_read() {
    let (mut peer, io) = duplex(100);
    let (mut io, flusher) = corked(io, Meter::default());
    peer.write_all(b"ask").await.unwrap();
    io.write_all(&vec![7; SIZE]).await.unwrap();
    assert!(poll!(std::pin::pin!(io.read(&mut [0; 3]))).is_pending());
    let mut sent = vec![0; SIZE];
    let (read, taken) = tokio::join!(
        async {
            let mut read = [0; 3];
            let done = io.read_exact(&mut read).await;
            while !lock(&flusher.0).outgoing.left().is_empty() {
                flush(&flusher);
                tokio::task::yield_now().await;
            }
            done.map(|_| read)
        },
        peer.read_exact(&mut sent)
    );
    assert_eq!((read.unwrap(), taken.unwrap()), (*b"ask", SIZE));
}

proptest! {
    #[test]
    fn what_comes_is_read_whole(
        sent in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..9_000), 0..30),
        step in 1..20_000_usize,
    ) {
        let read = async {
            let (mut peer, io) = duplex(30_000);
            let (mut io, flusher) = corked(io, Meter::default());
            let write = async {
                for chunk in &sent {
                    peer.write_all(chunk).await.unwrap();
                }
                drop(peer);
            };
            let read = async {
                let (mut all, mut buffer) = (Vec::new(), vec![0; step]);
                loop {
                    flusher.begin_round();
                    match io.read(&mut buffer).await.unwrap() {
                        0 => return all,
                        n => all.extend_from_slice(&buffer[..n]),
                    }
                }
            };
            tokio::join!(write, read).1
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        prop_assert_eq!(runtime.block_on(read), sent.concat());
    }
}
