//! Clients: tokio-tungstenite over plain TCP or TLS, and a raw socket for what no library sends.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::{Error, Message, http};

use super::within;

/// Any stream.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A client's WebSocket.
pub type WebSocket = WebSocketStream<Box<dyn Io>>;

/// A request for `path` with the given `Host`.
pub fn request(host: &str, path: &str) -> http::Request<()> {
    format!("ws://{host}{path}").into_client_request().unwrap()
}

/// Opens a WebSocket over TCP.
pub async fn connect(
    addr: SocketAddr,
    request: http::Request<()>,
) -> Result<(WebSocket, Response), Error> {
    let stream: Box<dyn Io> = Box::new(tcp(addr).await);
    within("handshake", tokio_tungstenite::client_async(request, stream)).await
}

/// Opens a WebSocket over TLS.
pub async fn connect_tls(
    addr: SocketAddr,
    config: &Arc<rustls::ClientConfig>,
    name: &str,
    request: http::Request<()>,
) -> Result<(WebSocket, Response), Error> {
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::clone(config));
    let tls = within("tls", connector.connect(name, tcp(addr).await)).await.map_err(Error::Io)?;
    let stream: Box<dyn Io> = Box::new(tls);
    within("handshake", tokio_tungstenite::client_async(request, stream)).await
}

/// A TCP connection.
pub async fn tcp(addr: SocketAddr) -> TcpStream {
    let stream = within("connect", TcpStream::connect(addr)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends bytes and gives back all that comes until the other end closes.
pub async fn exchange(addr: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = tcp(addr).await;
    stream.write_all(bytes.as_ref()).await.unwrap();
    read_all(&mut stream).await
}

/// All that comes until the other end closes or resets.
pub async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut all = Vec::new();
    // A reset behind the answer is no concern here.
    let _reset = within("answer", stream.read_to_end(&mut all)).await;
    String::from_utf8_lossy(&all).into_owned()
}

/// Reads a head, up to its empty line.
pub async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = within("head", stream.read_u8()).await;
        head.push(
            byte.unwrap_or_else(|e| panic!("{e} after {:?}", String::from_utf8_lossy(&head))),
        );
    }
    String::from_utf8(head).unwrap()
}

/// The bytes of a handshake for `path`; the key is RFC 6455's example.
pub fn handshake(host: &str, path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// Whether a tunnel carries a message both ways.
pub async fn answers(socket: &mut WebSocket) -> bool {
    if socket.send(Message::text("there?")).await.is_err() {
        return false;
    }
    loop {
        match within("an answer", socket.next()).await {
            Some(Ok(Message::Text(text))) => return text.as_str() == "there?",
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            _ => return false,
        }
    }
}

/// The code of the Close that ends a tunnel.
pub async fn close_code(socket: &mut WebSocket) -> Option<u16> {
    loop {
        match within("a Close", socket.next()).await {
            Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
            Some(Ok(_)) => {}
            _ => return None,
        }
    }
}
