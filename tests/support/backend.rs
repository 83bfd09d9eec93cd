//! Backends: an echo server of another implementation, and a scripted one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::{Message, http};

use super::client::read_head;
use super::within;

/// A WebSocket echo server; a text of `who` is answered by its name, one of `headers` by the
/// handshake's head.
pub struct Echo {
    pub addr: SocketAddr,
    /// Connections now.
    pub open: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Echo {
    pub async fn start(name: &str) -> Self {
        Self::start_at(super::address(9000), name).await
    }

    pub async fn start_at(addr: SocketAddr, name: &str) -> Self {
        Self::serve_on(TcpListener::bind(addr).await.unwrap(), name)
    }

    pub fn serve_on(listener: TcpListener, name: &str) -> Self {
        let addr = listener.local_addr().unwrap();
        let open = Arc::new(AtomicUsize::new(0));
        let (counter, name) = (Arc::clone(&open), name.to_owned());
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (counter, name) = (Arc::clone(&counter), name.clone());
                tokio::spawn(async move {
                    counter.fetch_add(1, Ordering::Relaxed);
                    serve(stream, &name).await;
                    counter.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Self { addr, open, task }
    }

    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, name: &str) {
    let mut head = String::new();
    // The shape of tungstenite's callback.
    #[allow(clippy::result_large_err)]
    let keep = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        head = describe(request);
        if let Some(protocol) = request.headers().get("sec-websocket-protocol") {
            let first = protocol.to_str().unwrap_or_default().split(',').next().unwrap_or_default();
            let first = http::HeaderValue::from_str(first.trim()).unwrap();
            response.headers_mut().insert("sec-websocket-protocol", first);
        }
        Ok(response)
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, keep).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        let answer = match message {
            Message::Text(text) if text.as_str() == "who" => Message::text(name),
            Message::Text(text) if text.as_str() == "headers" => Message::text(head.clone()),
            Message::Text(text) if text.starts_with("close ") => {
                let code = text[6..].parse::<u16>().unwrap();
                let frame = tokio_tungstenite::tungstenite::protocol::CloseFrame {
                    code: code.into(),
                    reason: "".into(),
                };
                Message::Close(Some(frame))
            }
            Message::Text(_) | Message::Binary(_) => message,
            _ => continue,
        };
        if socket.send(answer).await.is_err() {
            return;
        }
    }
}

fn describe(request: &Request) -> String {
    let mut head = format!("{} {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        for piece in [name.as_str(), ": ", value.to_str().unwrap_or("?"), "\n"] {
            head.push_str(piece);
        }
    }
    head
}

/// The answer to [`super::client::handshake`].
pub const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A backend that reads a request's head and answers with `answer`: its socket, and the head.
pub async fn scripted(listener: &TcpListener, answer: &str) -> (TcpStream, String) {
    let (mut stream, _) = within("accept", listener.accept()).await.unwrap();
    let head = read_head(&mut stream).await;
    stream.write_all(answer.as_bytes()).await.unwrap();
    (stream, head)
}
