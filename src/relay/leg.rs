//! A leg's socket and TLS session: read what is there, write what it takes, keep the rest.
//! Not here: frames, and what is worth writing (`pump`, `ws::tunnel`).

use std::io::{self, Read, Write};
use std::mem::size_of;
use std::net::Shutdown;
use std::os::fd::AsRawFd;

use nix::libc;
use nix::sys::socket::{MsgFlags, recv};
use socket2::Socket;

use super::splice::{Pipe, Pipes};
use crate::net::home::Seat;
use crate::net::tls::session::{Ended, MAX_REST, Sealed, Session};
use crate::ws::Millis;
use crate::ws::tunnel::End;

/// What came of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// So many bytes of plaintext; `more` when the socket may have more.
    Bytes { len: usize, more: bool },
    /// The leg ended.
    End(End),
}

/// What came of moving bytes unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spliced {
    /// So many.
    Moved(usize),
    /// There are none now.
    Rest,
    /// They are to be read instead: no pipe, no socket for it, or the end of the stream.
    Copy,
    /// The leg has failed.
    Reset,
}

/// Bytes read at once.
pub(super) const CHUNK: usize = 64 * 1024;

/// What a TLS leg needs while it is read or written, the worker's own.
#[derive(Debug)]
pub(super) struct Scratch {
    records: Vec<u8>,
    sealed: Sealed,
}

impl Scratch {
    pub(super) fn new() -> Self {
        Self { records: vec![0; MAX_REST + CHUNK], sealed: Sealed::default() }
    }
}

/// One leg of a tunnel.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a socket")]
pub(super) struct Leg {
    socket: Socket,
    tls: Option<Box<Session>>,
    /// What the socket did not take; empty, and without memory, nearly always.
    pending: Vec<u8>,
    /// What it did not take of bytes that nobody looked at; goes before `pending`.
    pipe: Option<Box<Pipe>>,
    /// The socket may have something to read.
    pub(super) readable: bool,
    /// The other end has hung up: read on until the end, no new edge may come.
    pub(super) hung_up: bool,
    /// A write failed: nothing goes to it any more; its last bytes may still be read.
    broken: bool,
    fin_sent: bool,
}

impl Leg {
    pub(super) fn new(new: super::Leg) -> Self {
        let super::Leg { fd, seat, tls, unsent, .. } = new;
        Self {
            socket: fd.into(),
            tls,
            pending: unsent,
            pipe: None,
            readable: seat.as_ref().is_none_or(Seat::is_readable),
            hung_up: seat.as_ref().is_some_and(Seat::is_hung_up),
            broken: false,
            fin_sent: false,
        }
    }

    pub(super) const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Reads what is there, up to `room` bytes, to `plain`.
    #[inline]
    pub(super) fn read(&mut self, plain: &mut [u8], room: usize, scratch: &mut Scratch) -> Got {
        if self.tls.is_some() {
            return self.read_tls(plain, room, scratch);
        }
        match receive(&self.socket, &mut plain[..room]) {
            Ok(0) => Got::End(self.end()),
            Ok(len) => Got::Bytes { len, more: len == room || self.hung_up },
            Err(error) => Self::failed(&error),
        }
    }

    fn failed(error: &io::Error) -> Got {
        match error.kind() {
            io::ErrorKind::WouldBlock => Got::Bytes { len: 0, more: false },
            _ => Got::End(End::Reset),
        }
    }

    /// Whether `bytes` could be filled with what is there, without TLS; it stays there.
    pub(super) fn peek(&self, bytes: &mut [u8]) -> bool {
        let seen = recv(self.socket.as_raw_fd(), bytes, MsgFlags::MSG_PEEK);
        seen == Ok(bytes.len())
    }

    /// Takes what has been seen.
    pub(super) fn take(&self, bytes: &mut [u8]) {
        // A failing socket shows at the next read.
        let _taken = receive(&self.socket, bytes);
    }

    const fn end(&self) -> End {
        if self.broken { End::Reset } else { End::Eof }
    }

    /// Records from the socket through the session, which keeps none that is complete: `plain` has
    /// room for all that `scratch` can hold.
    fn read_tls(&mut self, plain: &mut [u8], room: usize, scratch: &mut Scratch) -> Got {
        let Some(tls) = &mut self.tls else {
            return Got::End(End::Tls);
        };
        match tls.ended() {
            Some(Ended::Closed) => return Got::End(End::Eof),
            Some(Ended::Failed) => return Got::End(End::Tls),
            None => {}
        }
        let Scratch { records, sealed } = scratch;
        let rest = tls.rest(records);
        let received = match receive(&self.socket, &mut records[rest..rest + room]) {
            Ok(0) => return Got::End(self.end()),
            Ok(received) => received,
            Err(error) => return Self::failed(&error),
        };
        let mut len = 0;
        let take = |bytes: &[u8]| {
            plain[len..len + bytes.len()].copy_from_slice(bytes);
            len += bytes.len();
        };
        sealed.clear();
        // What came before a bad record counts; the next read tells of it.
        let _ended = tls.open(&mut records[..rest + received], take, sealed);
        let ended = tls.ended().is_some();
        // An alert, or the answer to a key update; a failing socket shows at the next read.
        let _told = self.put(sealed.as_slice());
        Got::Bytes { len, more: ended || received == room || self.hung_up }
    }

    /// Writes bytes, or keeps what the socket does not take. An error breaks the leg.
    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8], scratch: &mut Scratch) -> io::Result<()> {
        if self.broken {
            return Ok(());
        }
        let Some(tls) = &mut self.tls else {
            return self.put(bytes);
        };
        if tls.ended() == Some(Ended::Failed) {
            // The alert was the last word.
            return Ok(());
        }
        scratch.sealed.clear();
        if let Err(error) = tls.seal(bytes, &mut scratch.sealed) {
            return Err(self.break_off(io::Error::other(error)));
        }
        self.put(scratch.sealed.as_slice())
    }

    /// Writes bytes of the connection itself, behind those left over.
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !self.is_blocked() && !rest.is_empty() {
            match send(&self.socket, rest) {
                Ok(sent) => rest = &rest[sent..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(self.break_off(error)),
            }
        }
        self.pending.extend_from_slice(rest);
        Ok(())
    }

    /// Writes what is left over; says whether the socket took any.
    pub(super) fn flush(&mut self, pipes: &mut Pipes) -> io::Result<bool> {
        let mut progress = false;
        if let Some(mut pipe) = self.pipe.take() {
            match pipe.drain(&self.socket) {
                Ok(taken) => progress = taken > 0,
                Err(error) => return Err(self.break_off(error)),
            }
            if pipe.filled() > 0 {
                self.pipe = Some(pipe);
                return Ok(progress);
            }
            pipes.put(*pipe);
        }
        let mut sent = 0;
        while sent < self.pending.len() {
            match send(&self.socket, &self.pending[sent..]) {
                Ok(more) => sent += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(self.break_off(error)),
            }
        }
        if sent == self.pending.len() {
            // Drained: an idle tunnel holds no buffer.
            self.pending = Vec::new();
        } else {
            self.pending.drain(..sent);
        }
        Ok(progress || sent > 0)
    }

    /// Moves up to `len` bytes to another leg without looking at them. Neither has TLS, and nothing
    /// is left over for `target`.
    pub(super) fn splice(&mut self, target: &mut Self, len: usize, pipes: &mut Pipes) -> Spliced {
        let Some(mut pipe) = pipes.take() else {
            return Spliced::Copy;
        };
        let moved = match pipe.fill(&self.socket, len) {
            Ok(moved) => moved,
            Err(error) => {
                pipes.put(pipe);
                return match error.kind() {
                    io::ErrorKind::WouldBlock => Spliced::Rest,
                    // A socket that cannot be spliced.
                    io::ErrorKind::InvalidInput => Spliced::Copy,
                    _ => Spliced::Reset,
                };
            }
        };
        if moved == 0 {
            pipes.put(pipe);
            return Spliced::Copy;
        }
        if let Err(error) = pipe.drain(&target.socket) {
            // It is read to its end, which tells how it ended.
            let _broken = target.break_off(error);
        } else if pipe.filled() > 0 {
            target.pipe = Some(Box::new(pipe));
        } else {
            pipes.put(pipe);
        }
        Spliced::Moved(moved)
    }

    fn break_off(&mut self, error: io::Error) -> io::Error {
        self.broken = true;
        self.pending = Vec::new();
        self.pipe = None;
        self.readable = true;
        self.hung_up = true;
        error
    }

    /// Whether something is left over.
    #[inline]
    pub(super) fn is_blocked(&self) -> bool {
        !self.broken && (!self.pending.is_empty() || self.pipe.is_some())
    }

    /// Whether a write has failed.
    #[inline]
    pub(super) const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Bytes left over.
    pub(super) fn left_over(&self) -> usize {
        self.pending.len() + self.pipe.as_ref().map_or(0, |pipe| pipe.filled())
    }

    pub(super) const fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Ends our side of the connection, once.
    pub(super) fn finish(&mut self, scratch: &mut Scratch) {
        if self.fin_sent || self.is_blocked() {
            return;
        }
        if let Some(tls) = &mut self.tls {
            scratch.sealed.clear();
            tls.close(&mut scratch.sealed);
            if self.put(scratch.sealed.as_slice()).is_err() || self.is_blocked() {
                return;
            }
        }
        self.fin_sent = true;
        // A socket that is gone already needs no FIN.
        let _gone = self.socket.shutdown(Shutdown::Write);
    }

    /// Whether the kernel still holds bytes for the other end and it has acknowledged some within
    /// the last `within` milliseconds: slow, but there.
    pub(super) fn takes_bytes(&self, within: Millis) -> bool {
        unacknowledged(&self.socket) > 0
            && since_last_ack(&self.socket).is_some_and(|ms| u64::from(ms) < within)
    }
}

#[inline]
fn receive(mut socket: &Socket, bytes: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.read(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[inline]
fn send(mut socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match socket.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Bytes the other end has not acknowledged (`SIOCOUTQ`).
#[expect(unsafe_code, reason = "no crate offers SIOCOUTQ")]
fn unacknowledged(socket: &Socket) -> libc::c_int {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open for as long as `socket` is borrowed, and TIOCOUTQ (the same
    // number as SIOCOUTQ) writes one int to a valid place.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 { bytes } else { 0 }
}

/// Milliseconds since the last acknowledgement (`TCP_INFO`); `None` when it is no TCP socket.
#[expect(unsafe_code, reason = "no crate offers tcp_info")]
fn since_last_ack(socket: &Socket) -> Option<u32> {
    // SAFETY: tcp_info is plain integers, for which zeroes are valid.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel writes at most `len` bytes to `info`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut len,
        )
    };
    (result == 0).then_some(info.tcpi_last_ack_recv)
}
