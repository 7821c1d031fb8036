//! A WebSocket without a library, to say what no library says, and to see what libraries hide.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::within;

/// A WebSocket whose frames are bytes.
pub struct Bare {
    pub stream: TcpStream,
    /// The answer to the upgrade.
    pub head: String,
}

/// A frame from the gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// FIN, the reserved bits and the opcode.
    pub first: u8,
    pub payload: Vec<u8>,
}

impl Bare {
    pub async fn open(address: SocketAddr, target: &str) -> Self {
        Self::offering(address, target, "").await
    }

    /// Opens with an offer of extensions; an empty one is left out.
    pub async fn offering(address: SocketAddr, target: &str, extensions: &str) -> Self {
        Self::hasty(address, target, extensions, &[]).await
    }

    /// Sends frames in one piece with the request, before it is answered.
    pub async fn hasty(address: SocketAddr, target: &str, extensions: &str, frames: &[u8]) -> Self {
        let mut stream = connect(address).await;
        let offer = match extensions {
            "" => String::new(),
            offer => format!("sec-websocket-extensions: {offer}\r\n"),
        };
        let request = format!(
            "GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offer}\r\n"
        );
        stream
            .write_all(&[request.as_bytes(), frames].concat())
            .await
            .expect("the gateway reads");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = within("the answer to the upgrade", stream.read_u8()).await;
            head.push(byte.expect("a byte"));
        }
        let head = String::from_utf8(head).expect("text");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(
            head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            "the accept key of RFC 6455: {head}"
        );
        Self { stream, head }
    }

    /// Asks for something by plain HTTP, and reads nothing.
    pub async fn get(address: SocketAddr, target: &str) -> Self {
        let mut stream = connect(address).await;
        let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let sent = stream.write_all(request.as_bytes()).await;
        sent.expect("the gateway reads");
        Self {
            stream,
            head: String::new(),
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        let sent = within("the gateway to take bytes", self.stream.write_all(bytes)).await;
        sent.expect("the gateway reads");
    }

    /// The next frame; nothing at the end.
    pub async fn frame(&mut self) -> Option<Frame> {
        let reading = async {
            let first = self.stream.read_u8().await.ok()?;
            let length = match self.stream.read_u8().await.ok()? {
                126 => u64::from(self.stream.read_u16().await.ok()?),
                127 => self.stream.read_u64().await.ok()?,
                length => u64::from(length),
            };
            let mut payload = vec![0; usize::try_from(length).expect("a length")];
            self.stream.read_exact(&mut payload).await.ok()?;
            Some(Frame { first, payload })
        };
        within("a frame, or the gateway to close", reading).await
    }

    /// Reads frames to the end and returns the code of the close frame.
    pub async fn close_code(mut self) -> Option<u16> {
        let mut code = None;
        while let Some(frame) = self.frame().await {
            if frame.first == 0x88 {
                code = Some(u16::from_be_bytes([frame.payload[0], frame.payload[1]]));
            }
        }
        code
    }
}

/// A connection that takes little, and fills up early when it is not read.
async fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(16 * 1024).expect("a buffer");
    socket.connect(address).await.expect("the gateway listens")
}

/// A frame as a client has to send it.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length => match u16::try_from(length) {
            Ok(length) => {
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        },
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
    frame
}
