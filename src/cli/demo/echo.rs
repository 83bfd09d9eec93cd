//! A small WebSocket echo server that says its name. For the demo only: messages are kept whole in
//! memory, up to a bound.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::ws::frame::{Header, opcode, unmask};
use crate::ws::handshake::{Accept, is_upgrade};

/// The longest frame that is echoed.
const MAX_FRAME: u64 = 1024 * 1024;

/// Starts a backend on a thread of its own; it lives as long as the process.
pub(super) fn start(name: &'static str, page: &'static str) -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        runtime.block_on(async {
            match TcpListener::from_std(listener) {
                Ok(listener) => serve(&listener, name, page).await,
                Err(error) => eprintln!("{name} cannot listen: {error}"),
            }
        });
    })?;
    Ok(addr)
}

async fn serve(listener: &TcpListener, name: &'static str, page: &'static str) {
    while let Ok((stream, _)) = listener.accept().await {
        let service = service_fn(move |request| async move {
            Ok::<_, std::convert::Infallible>(answer(request, name, page))
        });
        let served = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        // A connection that breaks is the other end's business.
        tokio::spawn(async { drop(served.await) });
    }
}

fn answer(
    mut request: Request<Incoming>,
    name: &'static str,
    page: &'static str,
) -> Response<Full<Bytes>> {
    let key = request.headers().get(SEC_WEBSOCKET_KEY).map(|key| key.as_bytes().to_vec());
    let (Some(key), true) = (key, is_upgrade(request.headers())) else {
        let mut response = Response::new(Full::new(Bytes::from(page.replace("{{name}}", name))));
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, html);
        return response;
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            // The client is told by the end of the connection.
            drop(echo(&mut TokioIo::new(upgraded), name).await);
        }
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = HeaderValue::from_bytes(&Accept::of(&key).0) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// Answers texts with the backend's name in front, pings with pongs, a Close with a Close.
async fn echo(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), name: &str) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let (header, size) = loop {
            match Header::parse(&bytes) {
                Ok(Some(parsed)) => break parsed,
                Ok(None) => {}
                Err(_) => return Err(io::ErrorKind::InvalidData.into()),
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        };
        if header.len > MAX_FRAME {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let end = size + header.len as usize;
        while bytes.len() < end {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        }
        let payload = (0..).zip(&bytes[size..end]).map(|(i, b)| unmask(*b, i, header.mask));
        let payload: Vec<u8> = payload.collect();
        bytes.drain(..end);
        match header.opcode {
            opcode::TEXT => {
                let text = format!("{name} echoes: {}", String::from_utf8_lossy(&payload));
                send(stream, opcode::TEXT, text.as_bytes()).await?;
            }
            opcode::BINARY => send(stream, opcode::BINARY, &payload).await?,
            opcode::PING => send(stream, opcode::PONG, &payload).await?,
            opcode::CLOSE => return send(stream, opcode::CLOSE, &payload).await,
            _ => {}
        }
    }
}

async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    opcode: u8,
    payload: &[u8],
) -> io::Result<()> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        len @ 0..126 => frame.push(len as u8),
        len @ 126..65_536 => {
            frame.push(126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    stream.write_all(&frame).await
}
