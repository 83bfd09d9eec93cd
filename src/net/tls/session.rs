//! A TLS session without I/O and without buffers: records in, plaintext out, and the other way. All
//! it keeps between calls is the beginning of a record whose rest has not come. Not here: sockets
//! (`stream` before the 101, `relay::leg` behind it).

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{ClientConfig, CommonState, Error, ServerConfig};

/// The most that may be left of records that are not complete: a handshake message may be 64 KiB.
pub const MAX_REST: usize = 64 * 1024;

/// More than what encryption adds to 16 KiB in any suite: header, explicit nonce, type, tag.
const RECORD_OVERHEAD: usize = 64;
/// The longest payload of a record.
const RECORD_PAYLOAD: usize = 16 * 1024;

/// Records on their way out, in memory that is used again and again.
#[derive(Debug, Default)]
pub struct Sealed {
    bytes: Vec<u8>,
    len: usize,
}

impl Sealed {
    /// Forgets what it holds; the memory stays.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// rustls says `access_denied` where no certificate is given to it, which is what becomes of a
    /// name that is refused; RFC 6066 has a word for that.
    fn say_unknown_name(&mut self) {
        if let [.., 0x15, 3, _, 0, 2, 2, description @ 49] = &mut self.bytes[..self.len] {
            *description = 112;
        }
    }

    /// What it holds.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Lets `write` append to it, with more room when it says how much it needs.
    fn append<E>(
        &mut self,
        mut room: usize,
        mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
        needed: impl Fn(&E) -> Option<usize>,
    ) -> Result<(), E> {
        loop {
            if self.bytes.len() < self.len + room {
                self.bytes.resize(self.len + room, 0);
            }
            match write(&mut self.bytes[self.len..]) {
                Ok(written) => {
                    self.len += written;
                    return Ok(());
                }
                Err(error) => room = needed(&error).filter(|size| *size > room).ok_or(error)?,
            }
        }
    }
}

/// How a session's incoming side ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By the other end's `close_notify`.
    Closed,
    /// By a record that could not be opened.
    Failed,
}

/// Why a session does not go on.
#[derive(Debug)]
pub enum SessionError {
    /// What rustls says of the other end.
    Tls(Error),
    /// A handshake message without end.
    TooLong,
    /// It was closed, it failed before, or its keys are used up.
    Over,
}

impl From<Error> for SessionError {
    fn from(error: Error) -> Self {
        Self::Tls(error)
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(error) => error.fmt(f),
            Self::TooLong => f.write_str("a handshake message is too long"),
            Self::Over => f.write_str("the session is over"),
        }
    }
}

impl std::error::Error for SessionError {}

/// A session of either side.
pub struct Session {
    rustls: Side,
    /// Records whose end has not come; the front of what is opened next.
    rest: Vec<u8>,
    ended: Option<Ended>,
    close_sent: bool,
}

enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("rest", &self.rest.len()).finish_non_exhaustive()
    }
}

/// What is to be written once the session may.
#[derive(Clone, Copy)]
enum Outgoing<'a> {
    Nothing,
    Payload(&'a [u8]),
    CloseNotify,
}

/// What follows a state of rustls' machine.
enum Turn {
    Again,
    PeerClosed,
    /// It waits for bytes, of either side.
    Rest,
}

impl Session {
    /// The server's side, before the handshake.
    pub fn server(config: Arc<ServerConfig>) -> Result<Self, Error> {
        Ok(Self::new(Side::Server(UnbufferedServerConnection::new(config)?)))
    }

    /// The client's side, before the handshake.
    pub fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, Error> {
        Ok(Self::new(Side::Client(UnbufferedClientConnection::new(config, name)?)))
    }

    const fn new(rustls: Side) -> Self {
        Self { rustls, rest: Vec::new(), ended: None, close_sent: false }
    }

    /// What the handshake settled.
    pub fn common(&self) -> &CommonState {
        match &self.rustls {
            Side::Server(connection) => connection,
            Side::Client(connection) => connection,
        }
    }

    /// How the incoming side ended; nothing is opened after that.
    pub const fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// Copies what is left of earlier records to the front of `records`, where what the socket has
    /// belongs behind it. Says how much it is: at most [`MAX_REST`].
    #[inline]
    pub fn rest(&self, records: &mut [u8]) -> usize {
        records[..self.rest.len()].copy_from_slice(&self.rest);
        self.rest.len()
    }

    /// Opens `records`, which start with [`Session::rest`]. Plaintext goes to `plain`, never more
    /// than there are records; what the session itself has to say, be it an alert that explains the
    /// error, to `sealed`.
    pub fn open(
        &mut self,
        records: &mut [u8],
        plain: impl FnMut(&[u8]),
        sealed: &mut Sealed,
    ) -> Result<(), SessionError> {
        let (consumed, mut opened) = self.run(records, plain, sealed, Outgoing::Nothing);
        let rest = &mut records[consumed..];
        if opened.is_ok() && rest.len() > MAX_REST {
            opened = Err(SessionError::TooLong);
        }
        if opened.is_err() {
            self.ended = Some(Ended::Failed);
            // The alert, and nothing else: rustls would open the next record.
            while self.common().wants_write()
                && matches!(
                    self.step(rest, &mut |_| {}, sealed, &mut Outgoing::Nothing),
                    (_, Ok(Turn::Again))
                )
            {}
            if matches!(&opened, Err(SessionError::Tls(Error::General(_)))) {
                sealed.say_unknown_name();
            }
        }
        // An idle session has no memory here; behind the end nothing counts.
        self.rest = if self.ended.is_none() { rest.to_vec() } else { Vec::new() };
        opened
    }

    /// Seals `bytes` to records. After a failure there is nothing more to say.
    pub fn seal(&mut self, bytes: &[u8], sealed: &mut Sealed) -> Result<(), SessionError> {
        if self.ended == Some(Ended::Failed) {
            return Err(SessionError::Over);
        }
        self.put(Outgoing::Payload(bytes), sealed)
    }

    /// Says goodbye, once: `close_notify`. A session that failed has said why instead.
    pub fn close(&mut self, sealed: &mut Sealed) {
        let first = !std::mem::replace(&mut self.close_sent, true);
        if first && self.ended != Some(Ended::Failed) {
            // A session that cannot say it any more need not.
            let _silent = self.put(Outgoing::CloseNotify, sealed);
        }
    }

    fn put(&mut self, outgoing: Outgoing<'_>, sealed: &mut Sealed) -> Result<(), SessionError> {
        let mut rest = std::mem::take(&mut self.rest);
        // No complete record is left, so no plaintext comes and nothing is consumed.
        let (_, put) = self.run(&mut rest, |_| {}, sealed, outgoing);
        self.rest = rest;
        put
    }

    /// Turns rustls' machine until it waits. Says how much of `records` it is done with.
    fn run(
        &mut self,
        records: &mut [u8],
        mut plain: impl FnMut(&[u8]),
        sealed: &mut Sealed,
        mut outgoing: Outgoing<'_>,
    ) -> (usize, Result<(), SessionError>) {
        let mut consumed = 0;
        loop {
            let (discard, turn) =
                self.step(&mut records[consumed..], &mut plain, sealed, &mut outgoing);
            consumed += discard;
            match turn {
                Ok(Turn::Again) => {}
                Ok(Turn::PeerClosed) => self.ended = Some(Ended::Closed),
                Ok(Turn::Rest) => break,
                Err(error) => return (consumed, Err(error)),
            }
        }
        match outgoing {
            Outgoing::Nothing => (consumed, Ok(())),
            _ => (consumed, Err(SessionError::Over)),
        }
    }

    /// One turn of rustls' machine.
    fn step(
        &mut self,
        records: &mut [u8],
        plain: &mut impl FnMut(&[u8]),
        sealed: &mut Sealed,
        outgoing: &mut Outgoing<'_>,
    ) -> (usize, Result<Turn, SessionError>) {
        match &mut self.rustls {
            Side::Server(connection) => {
                handle(connection.process_tls_records(records), plain, sealed, outgoing)
            }
            Side::Client(connection) => {
                handle(connection.process_tls_records(records), plain, sealed, outgoing)
            }
        }
    }
}

/// Does what one state asks for. The states come in any order: plaintext may come before the
/// tickets of the same handshake have been sent.
fn handle<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    plain: &mut impl FnMut(&[u8]),
    sealed: &mut Sealed,
    outgoing: &mut Outgoing<'_>,
) -> (usize, Result<Turn, SessionError>) {
    let UnbufferedStatus { mut discard, state } = status;
    let turn = match state {
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    discard += record.discard;
                    plain(record.payload);
                }
                Some(Err(error)) => break Err(error.into()),
                None => break Ok(Turn::Again),
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let needed = |error: &EncodeError| match error {
                EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => {
                    Some(*required_size)
                }
                EncodeError::AlreadyEncoded => None,
            };
            let encoded = sealed.append(0, |room| data.encode(room), needed);
            encoded.map(|()| Turn::Again).map_err(|_| SessionError::Over)
        }
        // The caller writes them, in their order.
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(Turn::Again)
        }
        Ok(ConnectionState::PeerClosed) => Ok(Turn::PeerClosed),
        Ok(ConnectionState::WriteTraffic(mut traffic)) => {
            let put = match std::mem::replace(outgoing, Outgoing::Nothing) {
                Outgoing::Nothing => Ok(()),
                Outgoing::Payload(bytes) => {
                    let records = bytes.len() / RECORD_PAYLOAD + 2;
                    let room = bytes.len() + records * RECORD_OVERHEAD;
                    sealed.append(room, |room| traffic.encrypt(bytes, room), room_needed)
                }
                Outgoing::CloseNotify => {
                    sealed.append(0, |room| traffic.queue_close_notify(room), room_needed)
                }
            };
            put.map(|()| Turn::Rest).map_err(|_| SessionError::Over)
        }
        // Early data is never offered.
        Ok(_) => Ok(Turn::Rest),
        Err(error) => Err(error.into()),
    };
    (discard, turn)
}

const fn room_needed(error: &EncryptError) -> Option<usize> {
    match error {
        EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => {
            Some(*required_size)
        }
        EncryptError::EncryptExhausted => None,
    }
}
