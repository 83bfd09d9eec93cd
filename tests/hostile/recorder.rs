//! The upstream: it keeps every byte that reaches it and plays one script at a time. It is naive on
//! purpose: it takes bare line feeds and odd framing as the weakest server would.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle};

use super::script::{Script, Then, accept_of};
use super::wire::find;

/// What one connection to the upstream saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub raw: Vec<u8>,
    pub heads: Vec<Vec<u8>>,
    /// First byte and unmasked payload.
    pub frames: Vec<(u8, Vec<u8>)>,
    /// The proxy ended it: by a Close frame, a FIN or a reset.
    pub ended: bool,
    /// It came from the check that the proxy is alive.
    pub probe: bool,
}

struct State {
    script: Arc<Script>,
    seen: Vec<Arc<Mutex<Seen>>>,
    tasks: Vec<AbortHandle>,
}

pub struct Recorder {
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Recorder {
    pub async fn start(addr: SocketAddr) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let script = Arc::new(Script::default());
        let state = State { script, seen: Vec::new(), tasks: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::<Mutex<Seen>>::default();
                let mut state = shared.lock().unwrap();
                let script = Arc::clone(&state.script);
                let task = tokio::spawn(serve(stream, script, Arc::clone(&seen)));
                state.seen.push(seen);
                state.tasks.push(task.abort_handle());
            }
        });
        Self { state, task }
    }

    /// Forgets everything, ends all connections, and plays another script from now on.
    pub fn reset(&self, script: Arc<Script>) {
        let mut state = self.state.lock().unwrap();
        state.script = script;
        state.seen.clear();
        state.tasks.drain(..).for_each(|task| task.abort());
    }

    /// What the connections of a case saw so far.
    pub fn seen(&self) -> Vec<Seen> {
        let state = self.state.lock().unwrap();
        let all = state.seen.iter().map(|seen| seen.lock().unwrap().clone());
        all.filter(|seen| !seen.raw.is_empty() && !seen.probe).collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
        self.reset(Arc::new(Script::default()));
    }
}

/// One connection, with what has been read and not used.
pub(super) struct Origin {
    stream: TcpStream,
    buf: Vec<u8>,
    pub(super) seen: Arc<Mutex<Seen>>,
}

/// The connection is over: the proxy ended it, or the script.
pub(super) struct Over;

async fn serve(stream: TcpStream, script: Arc<Script>, seen: Arc<Mutex<Seen>>) {
    let _best_effort = stream.set_nodelay(true);
    let mut origin = Origin { stream, buf: Vec::new(), seen };
    match script.on_accept {
        Some(Then::Reset) => return origin.reset(),
        Some(_) => return,
        None => {}
    }
    while origin.request(&script).await.is_ok() {}
}

impl Origin {
    async fn more(&mut self) -> Result<(), Over> {
        let mut space = vec![0; 64 * 1024];
        match self.stream.read(&mut space).await {
            Ok(len) if len > 0 => {
                self.seen.lock().unwrap().raw.extend_from_slice(&space[..len]);
                self.buf.extend_from_slice(&space[..len]);
                Ok(())
            }
            _ => {
                self.seen.lock().unwrap().ended = true;
                Err(Over)
            }
        }
    }

    pub(super) async fn take(&mut self, len: usize) -> Result<Vec<u8>, Over> {
        while self.buf.len() < len {
            self.more().await?;
        }
        Ok(self.buf.drain(..len).collect())
    }

    /// A line with its end.
    async fn line(&mut self) -> Result<Vec<u8>, Over> {
        loop {
            if let Some(end) = find(&self.buf, b"\n") {
                return self.take(end + 1).await;
            }
            self.more().await?;
        }
    }

    async fn head(&mut self) -> Result<Vec<u8>, Over> {
        loop {
            let ends = [
                find(&self.buf, b"\r\n\r\n").map(|at| at + 4),
                find(&self.buf, b"\n\n").map(|at| at + 2),
            ];
            if let Some(end) = ends.into_iter().flatten().min() {
                return self.take(end).await;
            }
            self.more().await?;
        }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Over> {
        self.stream.write_all(bytes).await.map_err(|_| Over)
    }

    fn reset(self) {
        let _gone = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// One request and its answer.
    async fn request(&mut self, script: &Script) -> Result<(), Over> {
        let head = self.head().await?;
        if head.starts_with(b"GET /__probe") {
            self.seen.lock().unwrap().probe = true;
            self.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nprobe")
                .await?;
            return Err(Over);
        }
        self.seen.lock().unwrap().heads.push(head.clone());
        let fields = fields(&head);
        let field =
            |name: &str| fields.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        if let Some(then) = script.on_request {
            return self.then(then).await;
        }
        let body = if script.ignores_body { 0 } else { self.body(&field).await? };
        let key = field("sec-websocket-key");
        if !script.steps.is_empty() {
            return self.play(script, key.unwrap_or_default().as_bytes()).await;
        }
        let wants_upgrade = field("upgrade").is_some_and(|u| u.eq_ignore_ascii_case("websocket"));
        if let (true, Some(key)) = (wants_upgrade, key) {
            let mut answer = script_switching(key.as_bytes());
            if let Some(offer) = field("sec-websocket-protocol") {
                let first = offer.split(',').next().unwrap_or_default().trim();
                if !first.is_empty() {
                    answer.extend(format!("Sec-WebSocket-Protocol: {first}\r\n").bytes());
                }
            }
            answer.extend(b"\r\n");
            self.write(&answer).await?;
            return self.then(Then::Echo).await;
        }
        let count = self.seen.lock().unwrap().heads.len();
        let line = String::from_utf8_lossy(&head);
        let line: String = line.lines().next().unwrap_or_default().chars().take(60).collect();
        let text = format!("origin {count} {line} body={body}");
        let is_head = head.starts_with(b"HEAD ");
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{}",
            text.len(),
            if is_head { "" } else { &text }
        );
        self.write(answer.as_bytes()).await
    }

    /// Reads a body, and says how long it was.
    async fn body(&mut self, field: &impl Fn(&str) -> Option<String>) -> Result<usize, Over> {
        let coding = field("transfer-encoding").unwrap_or_default().to_ascii_lowercase();
        if coding.contains("chunked") {
            let mut total = 0;
            loop {
                let line = String::from_utf8_lossy(&self.line().await?).into_owned();
                let digits = line.split([';', '\r', '\n', ' ']).next().unwrap_or_default();
                let size = usize::from_str_radix(digits, 16).map_err(|_| Over)?;
                if size == 0 {
                    while !self.line().await?.trim_ascii().is_empty() {}
                    return Ok(total);
                }
                total += self.take(size).await?.len();
                self.line().await?;
            }
        }
        match field("content-length").and_then(|text| text.parse().ok()) {
            Some(length) => Ok(self.take(length).await?.len()),
            None => Ok(0),
        }
    }

    async fn play(&mut self, script: &Script, key: &[u8]) -> Result<(), Over> {
        loop {
            for step in &script.steps {
                for piece in step.pieces(key) {
                    self.write(&piece).await?;
                    tokio::time::sleep(step.every).await;
                }
                tokio::time::sleep(step.pause).await;
            }
            if script.then != Then::Again {
                return self.then(script.then).await;
            }
        }
    }

    async fn then(&mut self, then: Then) -> Result<(), Over> {
        match then {
            Then::Keep | Then::Again => Ok(()),
            Then::Close => Err(Over),
            Then::Echo => self.echo(true).await,
            Then::EchoAnything => self.echo(false).await,
            Then::Hang => loop {
                self.more().await?;
            },
            Then::HalfClose => {
                self.stream.shutdown().await.map_err(|_| Over)?;
                loop {
                    self.more().await?;
                }
            }
            Then::Reset => {
                let _gone = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
                Err(Over)
            }
        }
    }
}

/// The head of a good 101, without its empty line.
pub fn script_switching(key: &[u8]) -> Vec<u8> {
    let accept = accept_of(key);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n"
    )
    .into_bytes()
}

/// Names in lower case and values.
fn fields(head: &[u8]) -> Vec<(String, String)> {
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let lines = text.split('\n').skip(1).filter_map(|line| line.split_once(':'));
    lines.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned())).collect()
}
