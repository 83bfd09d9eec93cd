//! `echo`: the upstream. It answers while a message is still coming in, a frame for a frame, with
//! one write for each read.

use std::convert::Infallible;
use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::frame::{self, Header, Parser, Piece};
use crate::stream::Out;
use crate::upgrade;

const LISTENER: Token = Token(usize::MAX);
const READ: usize = 64 * 1024;
/// A connection that has so much to write is not read.
const FULL: usize = 256 * 1024;

pub fn serve(addr: SocketAddr) -> io::Result<Infallible> {
    let mut poll = Poll::new()?;
    let mut listener = listen(addr)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let (mut conns, mut free, mut scratch) = (Vec::new(), Vec::new(), vec![0; READ]);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut conns, &mut free)?;
                continue;
            }
            let slot = event.token().0;
            let Some(conn): Option<&mut Conn> = conns[slot].as_mut() else { continue };
            let to_end = event.is_read_closed() || event.is_error();
            if conn.ready(&mut scratch, to_end).is_err() {
                conns[slot] = None;
                free.push(slot);
            }
        }
    }
}

/// A listener with room for a storm.
pub fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(65535)?;
    Ok(TcpListener::from_std(socket.into()))
}

fn accept(
    listener: &TcpListener,
    poll: &Poll,
    conns: &mut Vec<Option<Conn>>,
    free: &mut Vec<usize>,
) -> io::Result<()> {
    loop {
        let mut socket = match listener.accept() {
            Ok((socket, _)) => socket,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error),
        };
        // A connection that is gone already ends with its first read.
        let _ = socket.set_nodelay(true);
        let slot = free.pop().unwrap_or_else(|| {
            conns.push(None);
            conns.len() - 1
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut socket, Token(slot), interest)?;
        conns[slot] = Some(Conn::new(socket));
    }
}

struct Conn {
    socket: TcpStream,
    head: Vec<u8>,
    open: bool,
    /// Nothing more is read: it ends when all is written.
    ending: bool,
    /// Reading stopped for want of room to write.
    stalled: bool,
    echo: Echo,
    out: Out,
}

impl Conn {
    fn new(socket: TcpStream) -> Self {
        let (echo, out) = (Echo::default(), Out::default());
        Self { socket, head: Vec::new(), open: false, ending: false, stalled: false, echo, out }
    }

    /// An error is the connection's end.
    fn ready(&mut self, scratch: &mut [u8], to_end: bool) -> io::Result<()> {
        self.flush()?;
        while !self.ending {
            self.stalled = self.out.waiting() > FULL;
            if self.stalled {
                break;
            }
            let n = match self.socket.read(scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            self.take(&mut scratch[..n])?;
            self.flush()?;
            if n < scratch.len() && !to_end {
                break;
            }
        }
        if self.ending && self.out.waiting() == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        loop {
            match self.out.write_to(&mut self.socket) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, mut bytes: &mut [u8]) -> io::Result<()> {
        if !self.open {
            let collected = upgrade::collect(&mut self.head, bytes).map_err(io::Error::other)?;
            let Some((head, took)) = collected else { return Ok(()) };
            bytes = &mut bytes[took..];
            let Some(key) = upgrade::field(&head, "sec-websocket-key") else {
                let refusal =
                    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                self.out.bytes.extend_from_slice(refusal);
                self.ending = true;
                return Ok(());
            };
            let response = upgrade::response(&upgrade::accept(key));
            self.out.bytes.extend_from_slice(response.as_bytes());
            self.open = true;
        }
        self.ending = self.echo.take(bytes, &mut self.out.bytes);
        Ok(())
    }
}

/// What goes back for what comes in.
struct Echo {
    parser: Parser,
    frame: Header,
    control: Vec<u8>,
}

impl Default for Echo {
    fn default() -> Self {
        Self { parser: Parser::default(), frame: Header::message(0, None), control: Vec::new() }
    }
}

impl Echo {
    /// True when the answer to a Close is in `out`.
    fn take(&mut self, mut input: &mut [u8], out: &mut Vec<u8>) -> bool {
        while let Some(piece) = self.parser.next(&mut input) {
            match piece {
                Piece::Start(header) => {
                    self.frame = header;
                    if !header.is_control() {
                        Header { mask: None, ..header }.put(out);
                    }
                }
                Piece::Payload(bytes, at) => {
                    frame::apply(self.frame.mask.unwrap_or_default(), at, bytes);
                    let control = self.frame.is_control();
                    if control { &mut self.control } else { &mut *out }.extend_from_slice(bytes);
                }
                Piece::End if self.frame.is_control() => {
                    let payload = std::mem::take(&mut self.control);
                    match self.frame.opcode {
                        frame::PING => frame::put_control(out, frame::PONG, &payload, None),
                        frame::CLOSE => {
                            frame::put_control(out, frame::CLOSE, &payload, None);
                            return true;
                        }
                        _ => {}
                    }
                }
                Piece::End => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_unmasked_and_controls_are_answered() {
        let (mut stream, mut wanted) = (Vec::new(), Vec::new());
        let mask = Some([1, 2, 3, 4]);
        for (fin, opcode, payload) in
            [(false, frame::TEXT, "Hel"), (true, 0, "lo"), (true, frame::BINARY, "")]
        {
            let header = Header { fin, opcode, mask, len: payload.len() as u64 };
            header.put(&mut stream);
            let from = stream.len();
            stream.extend_from_slice(payload.as_bytes());
            frame::apply([1, 2, 3, 4], 0, &mut stream[from..]);
            Header { mask: None, ..header }.put(&mut wanted);
            wanted.extend_from_slice(payload.as_bytes());
        }
        frame::put_control(&mut stream, frame::PING, b"p", mask);
        frame::put_control(&mut wanted, frame::PONG, b"p", None);
        frame::put_control(&mut stream, frame::CLOSE, &[3, 232], mask);
        frame::put_control(&mut wanted, frame::CLOSE, &[3, 232], None);
        for step in 1..=stream.len() {
            let (mut echo, mut out, mut over) = (Echo::default(), Vec::new(), false);
            for chunk in stream.chunks(step) {
                assert!(!over);
                over = echo.take(&mut chunk.to_vec(), &mut out);
            }
            assert!(over);
            assert_eq!(out, wanted, "in steps of {step}");
        }
    }
}
