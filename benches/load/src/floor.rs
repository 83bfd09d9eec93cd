//! `floor`: a relay that does nothing a proxy could leave out: it reads and writes. By copy, through
//! one buffer that all connections share; or by splice, through one pipe. Only what the other side
//! does not take is kept with the connection.

use std::convert::Infallible;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::OwnedFd;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::pipe2;

use crate::args::{Floor, Mode};
use crate::echo::listen;

const LISTENER: Token = Token(usize::MAX);
const READ: usize = 64 * 1024;
/// Asked for; the system may allow less.
const PIPE: usize = 1024 * 1024;

pub fn serve(options: &Floor) -> io::Result<Infallible> {
    let mut poll = Poll::new()?;
    let mut listener = listen(options.listen)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut relay = Relay {
        mode: options.mode,
        scratch: vec![0; READ],
        pipe: None,
        pairs: Vec::new(),
        free: Vec::new(),
    };
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            if event.token() == LISTENER {
                relay.accept(&listener, &poll, options.upstream)?;
                continue;
            }
            let (slot, side) = (event.token().0 / 2, event.token().0 % 2);
            let to_end = event.is_read_closed() || event.is_error();
            let readable = event.is_readable() || to_end;
            if relay.ready(slot, side, readable, to_end).is_err() {
                relay.pairs[slot] = None;
                relay.free.push(slot);
            }
        }
    }
}

/// What one side has not taken yet.
enum Rest {
    Bytes(Vec<u8>),
    Pipe(Box<Pipe>),
}

struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
    holds: usize,
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (out, into) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        // A smaller one does too.
        let _ = fcntl(&into, FcntlArg::F_SETPIPE_SZ(PIPE as i32));
        Ok(Self { out, into, holds: 0 })
    }
}

struct Pair {
    sockets: [TcpStream; 2],
    /// By the side it came from.
    rest: [Option<Rest>; 2],
    ended: [bool; 2],
}

struct Relay {
    mode: Mode,
    scratch: Vec<u8>,
    /// The pipe that nobody has something in.
    pipe: Option<Box<Pipe>>,
    pairs: Vec<Option<Pair>>,
    free: Vec<usize>,
}

impl Relay {
    fn accept(&mut self, listener: &TcpListener, poll: &Poll, to: SocketAddr) -> io::Result<()> {
        loop {
            let client = match listener.accept() {
                Ok((client, _)) => client,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            let mut sockets = [client, TcpStream::connect(to)?];
            let slot = self.free.pop().unwrap_or_else(|| {
                self.pairs.push(None);
                self.pairs.len() - 1
            });
            for (side, socket) in sockets.iter_mut().enumerate() {
                // A connection that is gone already ends with its first read.
                let _ = socket.set_nodelay(true);
                let interest = Interest::READABLE | Interest::WRITABLE;
                poll.registry().register(socket, Token(slot * 2 + side), interest)?;
            }
            self.pairs[slot] = Some(Pair { sockets, rest: [None, None], ended: [false; 2] });
        }
    }

    /// An error is the pair's end.
    fn ready(&mut self, slot: usize, side: usize, readable: bool, to_end: bool) -> io::Result<()> {
        let Some(pair) = self.pairs[slot].as_mut() else { return Ok(()) };
        // It may take what came from the other side, which then is to be read again.
        let resumed = pair.rest[1 - side].is_some() && pair.drain(1 - side, &mut self.pipe)?;
        for (from, wanted) in [(side, readable), (1 - side, resumed)] {
            if !wanted || pair.ended[from] || pair.rest[from].is_some() {
                continue;
            }
            // How much there is, is not known after having stopped.
            let to_end = to_end && from == side || resumed && from != side;
            let ended = match self.mode {
                Mode::Copy => pair.copy(from, &mut self.scratch, to_end)?,
                Mode::Splice => pair.splice(from, &mut self.pipe)?,
            };
            pair.ended[from] |= ended;
        }
        pair.pass_ends_on()
    }
}

impl Pair {
    /// Reads and writes until there is nothing more, or no room; true at the end of `from`.
    fn copy(&mut self, from: usize, scratch: &mut [u8], to_end: bool) -> io::Result<bool> {
        loop {
            let n = match self.sockets[from].read(scratch) {
                Ok(0) => return Ok(true),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            let written = unless_full(self.sockets[1 - from].write(&scratch[..n]))?;
            if written < n {
                self.rest[from] = Some(Rest::Bytes(scratch[written..n].to_vec()));
                return Ok(false);
            }
            if n < scratch.len() && !to_end {
                return Ok(false);
            }
        }
    }

    fn splice(&mut self, from: usize, spare: &mut Option<Box<Pipe>>) -> io::Result<bool> {
        let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
        let mut pipe = match spare.take() {
            Some(pipe) => pipe,
            None => Box::new(Pipe::new()?),
        };
        loop {
            let read = splice(&self.sockets[from], None, &pipe.into, None, PIPE, flags);
            match read.map_err(io::Error::from) {
                Ok(0) => {
                    *spare = Some(pipe);
                    return Ok(true);
                }
                Ok(n) => pipe.holds += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    *spare = Some(pipe);
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
            empty(&mut pipe, &self.sockets[1 - from])?;
            if pipe.holds > 0 {
                self.rest[from] = Some(Rest::Pipe(pipe));
                return Ok(false);
            }
        }
    }

    /// Writes what is left from `from`; true when nothing is left any more.
    fn drain(&mut self, from: usize, spare: &mut Option<Box<Pipe>>) -> io::Result<bool> {
        let to = &mut self.sockets[1 - from];
        match self.rest[from].take() {
            Some(Rest::Bytes(mut bytes)) => {
                let written = unless_full(to.write(&bytes))?;
                bytes.drain(..written);
                self.rest[from] = (!bytes.is_empty()).then_some(Rest::Bytes(bytes));
            }
            Some(Rest::Pipe(mut pipe)) => {
                empty(&mut pipe, to)?;
                if pipe.holds > 0 {
                    self.rest[from] = Some(Rest::Pipe(pipe));
                } else {
                    *spare = Some(pipe);
                }
            }
            None => {}
        }
        Ok(self.rest[from].is_none())
    }

    fn pass_ends_on(&mut self) -> io::Result<()> {
        for from in 0..2 {
            if self.ended[from] && self.rest[from].is_none() {
                // Again and again does no harm.
                let _ = self.sockets[1 - from].shutdown(Shutdown::Write);
            }
        }
        if self.ended == [true; 2] { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

/// From the pipe to the socket, as much as it takes.
fn empty(pipe: &mut Pipe, to: &TcpStream) -> io::Result<()> {
    let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
    while pipe.holds > 0 {
        let written = splice(&pipe.out, None, to, None, pipe.holds, flags);
        match unless_full(written.map_err(io::Error::from))? {
            0 => break,
            n => pipe.holds -= n,
        }
    }
    Ok(())
}

/// No room, or no connection yet, is nothing written.
fn unless_full(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        written => written,
    }
}
