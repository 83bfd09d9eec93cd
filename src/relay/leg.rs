//! A leg's socket and TLS session: read what is there, write what it takes, keep the rest.
//! Not here: frames, and what is worth writing (`pump`, `ws::tunnel`).

use std::io::{self, Read, Write};
use std::mem::size_of;
use std::net::Shutdown;
use std::os::fd::AsRawFd;

use nix::libc;
use rustls::Connection;
use socket2::Socket;

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

/// One leg of a tunnel.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a socket")]
pub(super) struct Leg {
    socket: Socket,
    tls: Option<Box<Connection>>,
    /// What the socket did not take; empty, and without memory, nearly always. With TLS the rest
    /// waits in the session, as records.
    pending: Vec<u8>,
    /// The socket may have something to read.
    pub(super) readable: bool,
    /// The other end has hung up: read on until the end, no new edge may come.
    pub(super) hung_up: bool,
    /// A write failed: nothing goes to it any more; its last bytes may still be read.
    broken: bool,
    fin_sent: bool,
    /// Plaintext bytes given to the session that wait there, for the gauge.
    waiting: usize,
}

impl Leg {
    pub(super) fn new(socket: Socket, mut tls: Option<Box<Connection>>) -> Self {
        if let Some(tls) = &mut tls {
            // The relay bounds what it hands over; the session must take it whole.
            tls.set_buffer_limit(None);
        }
        Self {
            socket,
            tls,
            pending: Vec::new(),
            readable: true,
            hung_up: false,
            broken: false,
            fin_sent: false,
            waiting: 0,
        }
    }

    pub(super) const fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub(super) const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Reads what is there, up to the room in `plain`. `records` is scratch space for TLS.
    #[inline]
    pub(super) fn read(&mut self, plain: &mut [u8], records: &mut [u8]) -> Got {
        if self.tls.is_some() {
            return self.read_tls(plain, records);
        }
        match receive(&self.socket, plain) {
            Ok(0) => Got::End(self.end()),
            Ok(len) => Got::Bytes { len, more: len == plain.len() || self.hung_up },
            Err(error) => Self::failed(&error),
        }
    }

    fn failed(error: &io::Error) -> Got {
        match error.kind() {
            io::ErrorKind::WouldBlock => Got::Bytes { len: 0, more: false },
            _ => Got::End(End::Reset),
        }
    }

    const fn end(&self) -> End {
        if self.broken { End::Reset } else { End::Eof }
    }

    /// Records from the socket through the session. `plain` has room for what `records` can hold
    /// and one record more, so nothing readable stays in the session.
    fn read_tls(&mut self, plain: &mut [u8], records: &mut [u8]) -> Got {
        let Some(tls) = &mut self.tls else {
            return Got::End(End::Tls);
        };
        // From the handshake's last read there may be plaintext already.
        let (mut len, mut closed) = drain_plaintext(tls, plain);
        let received = match receive(&self.socket, records) {
            _ if closed => 0,
            Ok(0) if len == 0 => return Got::End(self.end()),
            Ok(received) => received,
            Err(error) if len == 0 => return Self::failed(&error),
            Err(_) => 0,
        };
        let mut rest = &records[..received];
        while !rest.is_empty() && !closed {
            // Its deframer always has room, as every call is followed by processing.
            let fed = tls.read_tls(&mut rest);
            if fed.is_err() || tls.process_new_packets().is_err() {
                // The session has an alert to say why.
                let _told = self.flush();
                return Got::End(End::Tls);
            }
            let more;
            (more, closed) = drain_plaintext(tls, &mut plain[len..]);
            len += more;
        }
        if tls.wants_write() {
            // A key update's answer; a failing socket shows at the next read.
            let _told = self.flush();
        }
        match len {
            0 if closed => Got::End(End::Eof),
            len => Got::Bytes { len, more: received == records.len() || self.hung_up || closed },
        }
    }

    /// Writes bytes, or keeps what the socket does not take. An error breaks the leg.
    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.broken {
            return Ok(());
        }
        if let Some(tls) = &mut self.tls {
            tls.writer().write_all(bytes)?;
            self.waiting += bytes.len();
            return self.flush().map(|_| ());
        }
        let mut rest = bytes;
        while self.pending.is_empty() && !rest.is_empty() {
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
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        let mut progress = false;
        if self.broken {
            return Ok(false);
        }
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                match tls.write_tls(&mut Unsignalled(&self.socket)) {
                    Ok(_) => progress = true,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(progress),
                    Err(error) => return Err(self.break_off(error)),
                }
            }
            self.waiting = 0;
            return Ok(progress);
        }
        while !self.pending.is_empty() {
            match send(&self.socket, &self.pending) {
                Ok(sent) => {
                    self.pending.drain(..sent);
                    progress = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(progress),
                Err(error) => return Err(self.break_off(error)),
            }
        }
        // Drained: an idle tunnel holds no buffer.
        self.pending = Vec::new();
        Ok(progress)
    }

    fn break_off(&mut self, error: io::Error) -> io::Error {
        self.broken = true;
        self.pending = Vec::new();
        self.waiting = 0;
        self.readable = true;
        self.hung_up = true;
        error
    }

    /// Whether something is left over.
    #[inline]
    pub(super) fn is_blocked(&self) -> bool {
        !self.broken && (!self.pending.is_empty() || self.waiting > 0)
    }

    /// Whether a write has failed.
    #[inline]
    pub(super) const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Bytes left over.
    pub(super) fn left_over(&self) -> usize {
        self.pending.len() + self.waiting
    }

    /// Ends our side of the connection, once.
    pub(super) fn finish(&mut self) {
        if self.fin_sent || self.is_blocked() {
            return;
        }
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            if self.flush().is_err() || self.tls.as_ref().is_some_and(|tls| tls.wants_write()) {
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

/// All plaintext of the session, and whether the other end has closed it.
fn drain_plaintext(tls: &mut Connection, plain: &mut [u8]) -> (usize, bool) {
    let mut len = 0;
    while len < plain.len() {
        match tls.reader().read(&mut plain[len..]) {
            Ok(0) => return (len, true),
            Ok(more) => len += more,
            Err(_) => break,
        }
    }
    (len, false)
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

/// A socket as rustls wants it: a writer that is not interrupted.
struct Unsignalled<'a>(&'a Socket);

impl Write for Unsignalled<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        send(self.0, bytes)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        loop {
            match (&mut &*self.0).write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
