//! Plays a case: the client's connections, step by step.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf,
};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::case::{Act, Case, Transport};
use super::tls;
use super::wire::{HOST, KEY, answers, fill, latin1, pattern};

/// The most bytes that are kept of what a client receives: some send without end.
const KEPT: usize = 4 * 1024 * 1024;

/// Where a proxy listens, and where it looks for its upstream.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub plain: SocketAddr,
    pub tls: SocketAddr,
    pub proxy_protocol: SocketAddr,
    pub recorder: SocketAddr,
}

/// Any stream.
pub trait Io: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Io for T {}

/// What a client has received, and how its connection ended.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub bytes: Vec<u8>,
    pub end: Option<&'static str>,
    pub first_at: Option<Instant>,
    pub ended_at: Option<Instant>,
}

/// A client's connection.
pub struct Client {
    pub opened: Instant,
    /// Why its TLS handshake failed.
    pub tls_error: Option<String>,
    received: watch::Receiver<Received>,
    writer: Option<WriteHalf<Box<dyn Io>>>,
    reader: Option<JoinHandle<()>>,
    /// For what streams cannot do.
    socket: Option<std::net::TcpStream>,
}

/// What came of a case, as its clients saw it.
pub struct Played {
    pub first: Client,
    pub second: Option<Client>,
    /// Patterns that were waited for in vain.
    pub missing: Vec<String>,
}

impl Client {
    pub async fn open(case: &Case, slot: &Slot) -> std::io::Result<Self> {
        let addr = match case.transport {
            Transport::Plain => slot.plain,
            Transport::Tls | Transport::TcpToTls => slot.tls,
            Transport::ProxyProtocol => slot.proxy_protocol,
        };
        let opened = Instant::now();
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let stream = stream.into_std()?;
        let socket = stream.try_clone()?;
        let stream = TcpStream::from_std(stream)?;
        let mut tls_error = None;
        let stream: Option<Box<dyn Io>> = match case.transport {
            Transport::Tls => match tls::connect(&case.tls, stream).await {
                Ok(stream) => Some(stream),
                Err(error) => {
                    tls_error = Some(error.to_string());
                    None
                }
            },
            _ => Some(Box::new(stream)),
        };
        let (sender, received) = watch::channel(Received::default());
        let (writer, reader) = match stream {
            Some(stream) => {
                let (read, write) = tokio::io::split(stream);
                (Some(write), Some(tokio::spawn(receive(read, sender))))
            }
            None => {
                sender.send_modify(|received| ended(received, "tls"));
                (None, None)
            }
        };
        Ok(Self { opened, tls_error, received, writer, reader, socket: Some(socket) })
    }

    pub fn received(&self) -> Received {
        self.received.borrow().clone()
    }

    /// Waits until `done` says so, or the time is over; says whether it did.
    pub async fn wait(&mut self, seconds: f64, done: impl Fn(&Received) -> bool) -> bool {
        let over = |received: &Received| done(received) || received.end.is_some();
        let limit = Duration::from_secs_f64(seconds);
        // The sender goes with the end of the connection, after the last change.
        drop(timeout(limit, self.received.wait_for(|received| over(received))).await);
        done(&self.received.borrow())
    }

    pub fn has_ended(&self) -> bool {
        self.received.borrow().end.is_some()
    }

    /// Sends piece by piece, until all is sent, time is over or nobody takes it.
    async fn send(&mut self, bytes: &[u8], chunk: usize, every: f64, limit: f64) {
        let deadline = Instant::now() + Duration::from_secs_f64(limit);
        for piece in bytes.chunks(chunk) {
            if self.has_ended() {
                return;
            }
            let Some(writer) = &mut self.writer else { return };
            let write = async {
                writer.write_all(piece).await?;
                writer.flush().await
            };
            if !matches!(timeout_at(deadline, write).await, Ok(Ok(()))) {
                return;
            }
            if every > 0.0 {
                self.wait(every, |_| false).await;
            }
        }
    }

    async fn shutdown(&mut self) {
        if let Some(writer) = &mut self.writer {
            let _gone = writer.shutdown().await;
        }
    }

    /// Lets the connection go, with a reset where asked for.
    pub async fn close(&mut self, reset: bool) {
        if let (Some(socket), true) = (&self.socket, reset) {
            let _gone = SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
        if let Some(reader) = self.reader.take() {
            reader.abort();
            let _aborted = reader.await;
        }
        self.writer = None;
        self.socket = None;
    }
}

fn ended(received: &mut Received, how: &'static str) {
    received.end = Some(how);
    received.ended_at = Some(Instant::now());
}

async fn receive(mut stream: ReadHalf<Box<dyn Io>>, received: watch::Sender<Received>) {
    let mut buf = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buf).await {
            Ok(0) => return received.send_modify(|received| ended(received, "fin")),
            Ok(len) => received.send_modify(|received| {
                received.first_at.get_or_insert_with(Instant::now);
                let room = KEPT.saturating_sub(received.bytes.len());
                received.bytes.extend_from_slice(&buf[..len.min(room)]);
            }),
            Err(error) => {
                let how = match error.kind() {
                    std::io::ErrorKind::UnexpectedEof => "fin",
                    std::io::ErrorKind::ConnectionReset => "rst",
                    _ => "err",
                };
                return received.send_modify(|received| ended(received, how));
            }
        }
    }
}

/// The bytes of a good handshake.
fn handshake(path: &str, extra: &str) -> Vec<u8> {
    latin1(&format!(
        "GET {path} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{extra}\r\n"
    ))
}

/// Plays a case to its end, and gives its clients back, still open.
pub async fn play(case: &Case, slot: &Slot) -> std::io::Result<Played> {
    let first = Client::open(case, slot).await?;
    let mut played = Played { first, second: None, missing: Vec::new() };
    for step in &case.steps {
        if step.second && played.second.is_none() {
            played.second = Some(Client::open(case, slot).await?);
        }
        let client = match &mut played.second {
            Some(second) if step.second => second,
            _ => &mut played.first,
        };
        match &step.act {
            Act::Send { bytes, chunk, every, limit } => {
                client.send(bytes, *chunk, *every, *limit).await;
            }
            Act::Handshake { path, extra, wait } => {
                let own = format!("/ws-{}", case.id);
                let path = path.as_deref().unwrap_or(&own);
                client.send(&handshake(path, extra), usize::MAX, 0.0, 15.0).await;
                let head = pattern(r"\r\n\r\n");
                client.wait(*wait, |received| head.is_match(&received.bytes)).await;
            }
            Act::Receive { pattern: text, wait } => {
                let wanted = pattern(&fill(text, &case.id));
                if !client.wait(*wait, |received| wanted.is_match(&received.bytes)).await {
                    played.missing.push(text.clone());
                }
            }
            // Time goes on even when the connection has ended.
            Act::Sleep(seconds) => tokio::time::sleep(Duration::from_secs_f64(*seconds)).await,
            Act::Shutdown => client.shutdown().await,
            Act::Close | Act::Reset => client.close(matches!(step.act, Act::Reset)).await,
        }
    }
    settle(case, &mut played.first).await;
    if let Some(second) = &mut played.second {
        second.wait(0.05, |_| false).await;
    }
    Ok(played)
}

/// Waits for what the case expects to see: an end, an answer, or nothing more.
async fn settle(case: &Case, client: &mut Client) {
    let expect = &case.expect;
    let wait = expect.wait.unwrap_or(2.0);
    if expect.closed == Some(true) {
        client.wait(wait, |_| false).await;
    } else if expect.status.is_some() {
        let final_answer = |received: &Received| {
            answers(&received.bytes).last().is_some_and(|answer| answer.status >= 101)
        };
        client.wait(wait, final_answer).await;
        client.wait(0.15, |_| false).await;
    } else if expect.settle != Some(false) {
        client.wait(wait, |_| false).await;
    }
    client.wait(0.05, |_| false).await;
}

/// Whether the proxy still serves: a plain request through to the upstream.
pub async fn is_alive(slot: &Slot) -> bool {
    for pause in [0.0, 0.3, 0.6] {
        tokio::time::sleep(Duration::from_secs_f64(pause)).await;
        let asked = timeout(Duration::from_secs(10), async {
            let mut stream = TcpStream::connect(slot.plain).await?;
            let request =
                format!("GET /__probe HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        });
        if matches!(asked.await, Ok(Ok(answer)) if answer.starts_with(b"HTTP/1.1 200")) {
            return true;
        }
    }
    false
}
