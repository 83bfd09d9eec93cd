//! One WebSocket client: opens, sends numbered messages, checks what comes back, closes.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use crate::body::{self, Checker};
use crate::frame::{self, Header, Parser, Piece};
use crate::stream::{Got, Out, Scratch, Stream};
use crate::upgrade;

/// What happened to a client.
pub enum Event {
    /// The 101 came.
    Up,
    /// A message came back, so long after it was queued.
    Echo(Duration),
    Ended(End),
}

#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// As we asked for.
    Orderly,
    Lost(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    /// Our Close is out.
    Closing,
    /// And was answered.
    Answered,
}

pub struct Client {
    /// Its place in the swarm.
    pub slot: usize,
    /// When connect was called.
    pub begun: Instant,
    pub stream: Stream,
    out: Out,
    phase: Phase,
    head: Vec<u8>,
    parser: Parser,
    frame: Header,
    /// The payload of a control frame under way.
    control: Vec<u8>,
    checker: Checker,
    number: u64,
    size: usize,
    /// The code of a Close that we did not ask for.
    code: Option<u16>,
    mask: [u8; 4],
    next: u64,
    sent: VecDeque<Instant>,
}

impl Client {
    pub fn new(slot: usize, number: u64, size: usize, stream: Stream, request: &str) -> Self {
        Self {
            slot,
            begun: Instant::now(),
            stream,
            out: Out::new(request.as_bytes()),
            phase: Phase::Opening,
            head: Vec::new(),
            parser: Parser::default(),
            frame: Header::message(0, None),
            control: Vec::new(),
            checker: Checker::new(number, size),
            number,
            size,
            code: None,
            mask: (number as u32 | 0x0101_0101).to_ne_bytes(),
            next: 0,
            sent: VecDeque::new(),
        }
    }

    /// Queues the next message.
    pub fn message(&mut self) {
        Header::message(self.size, Some(self.mask)).put(&mut self.out.bytes);
        let from = self.out.bytes.len();
        body::put(&mut self.out.bytes, self.number, self.next, self.size);
        frame::apply(self.mask, 0, &mut self.out.bytes[from..]);
        self.next += 1;
        self.sent.push_back(Instant::now());
    }

    /// Queues our Close.
    pub fn close(&mut self) {
        let code = 1000_u16.to_be_bytes();
        frame::put_control(&mut self.out.bytes, frame::CLOSE, &code, Some(self.mask));
        self.phase = Phase::Closing;
    }

    pub fn is_opening(&self) -> bool {
        self.phase == Phase::Opening
    }

    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Messages that have not come back.
    pub fn in_flight(&self) -> usize {
        self.sent.len()
    }

    pub fn faults(&self) -> body::Faults {
        self.checker.faults
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.stream.write(&mut self.out)
    }

    /// Gives the buffers of the last messages back.
    pub fn release(&mut self) {
        self.out.release();
        self.sent.shrink_to_fit();
    }

    /// Reads what there is and writes what that asks for. `to_end`: the peer will send no more, so
    /// read on until the end shows.
    pub fn ready(
        &mut self,
        scratch: &mut Scratch,
        to_end: bool,
        on: &mut impl FnMut(&mut Self, Event),
    ) -> Result<(), End> {
        let lost = |error: io::Error| End::Lost(error.to_string());
        loop {
            match self.stream.read(scratch) {
                Ok(Got::Bytes(n, more)) => {
                    self.take(&mut scratch.plain[..n], on).map_err(End::Lost)?;
                    if !more && !to_end {
                        break;
                    }
                }
                Ok(Got::Blocked) => break,
                Ok(Got::End) => return Err(self.at_end()),
                Err(_) if self.phase == Phase::Answered => return Err(End::Orderly),
                Err(error) => return Err(lost(error)),
            }
        }
        match self.flush() {
            Err(_) if matches!(self.phase, Phase::Closing | Phase::Answered) => Ok(()),
            flushed => flushed.map_err(lost),
        }
    }

    pub fn at_end(&self) -> End {
        match (self.phase, self.code) {
            (Phase::Answered, _) => End::Orderly,
            (_, Some(code)) => End::Lost(format!("closed {code}")),
            (phase, None) => End::Lost(format!("ended while {phase:?}").to_lowercase()),
        }
    }

    fn take(
        &mut self,
        bytes: &mut [u8],
        on: &mut impl FnMut(&mut Self, Event),
    ) -> Result<(), String> {
        let mut input = bytes;
        if self.phase == Phase::Opening {
            let Some((head, took)) = upgrade::collect(&mut self.head, input)? else {
                return Ok(());
            };
            upgrade::check(&head)?;
            input = &mut input[took..];
            self.phase = Phase::Open;
            on(self, Event::Up);
        }
        while let Some(piece) = self.parser.next(&mut input) {
            match piece {
                Piece::Start(header) if header.mask.is_some() => {
                    return Err("a masked frame".to_owned());
                }
                Piece::Start(header) => self.frame = header,
                Piece::Payload(bytes, _) if self.frame.is_control() => {
                    self.control.extend_from_slice(bytes);
                }
                Piece::Payload(bytes, _) => self.checker.piece(bytes),
                Piece::End if self.frame.is_control() => self.on_control(),
                Piece::End if self.frame.fin => {
                    self.checker.end();
                    let sent = self.sent.pop_front().ok_or("a message nobody sent")?;
                    on(self, Event::Echo(sent.elapsed()));
                }
                Piece::End => {}
            }
        }
        Ok(())
    }

    fn on_control(&mut self) {
        let payload = std::mem::take(&mut self.control);
        match self.frame.opcode {
            frame::PING => {
                frame::put_control(&mut self.out.bytes, frame::PONG, &payload, Some(self.mask));
            }
            frame::CLOSE if self.phase == Phase::Closing => self.phase = Phase::Answered,
            frame::CLOSE => {
                let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                self.code = Some(code);
                frame::put_control(&mut self.out.bytes, frame::CLOSE, &payload, Some(self.mask));
            }
            _ => {}
        }
    }
}
