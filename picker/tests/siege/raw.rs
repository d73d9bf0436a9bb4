//! HTTP/2 as nobody speaks it who means well: frames written by hand.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const END_HEADERS: u8 = 4;
/// The method of `ext_proc`.
pub const PROCESS: &str = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";

/// A loopback address of an attacker.
pub fn attacker(n: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 1, n).into()
}

/// A connection from `from` to `port` of this machine.
pub async fn connect(from: IpAddr, port: u16) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await
}

/// Frames to be written.
#[derive(Default)]
pub struct Frames(pub BytesMut);

impl Frames {
    /// What a client begins with.
    pub fn preface() -> Self {
        let mut frames = Self(BytesMut::from(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..]));
        frames.frame(SETTINGS, 0, 0, &[]);
        frames
    }

    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.0.put_uint(payload.len() as u64, 3);
        self.0.put_slice(&[kind, flags]);
        self.0.put_u32(stream);
        self.0.put_slice(payload);
    }

    /// Opens a stream of `ext_proc`.
    pub fn open(&mut self, stream: u32) {
        // POST and http by their places in the static table, the others as literals with names from it.
        let mut block = BytesMut::from(&[0x83, 0x86][..]);
        for (name, value) in [(4, PROCESS), (1, "picker"), (15 + 16, "application/grpc")] {
            if name < 15 {
                block.put_u8(name)
            } else {
                block.put_slice(&[15, name - 15])
            }
            block.put_u8(value.len() as u8);
            block.put_slice(value.as_bytes());
        }
        self.frame(HEADERS, END_HEADERS, stream, &block);
    }
}

/// Writes `frames`, and reads on until the other side ends; what is read is forgotten.
pub async fn play(mut io: TcpStream, frames: Frames) {
    let (mut read, mut write) = io.split();
    let reading = async {
        let mut buffer = vec![0; 4 << 10];
        while !matches!(read.read(&mut buffer).await, Ok(0) | Err(_)) {}
    };
    let writing = async {
        let _ = write.write_all(&frames.0).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}
