//! Where each request ends: a state machine over the raw bytes of a connection. It lets through
//! what is unambiguous and stops at what is not; hyper never sees the rest. Pure.

use memchr::memchr;

use super::head::{self, Body, Refusal, is_token_byte};

/// The longest method.
const MAX_METHOD: usize = 32;
/// Empty lines that are skipped before a request (RFC 9112 §2.2).
const MAX_EMPTY_LINES: u8 = 2;
/// The longest line of a chunk's size with its extensions.
const MAX_CHUNK_LINE: usize = 1024;
/// Bytes of all chunk lines that carry no data, at most as many as this and a share of the data:
/// a body of one-byte chunks is legal, one of extensions is not.
const CHUNK_OVERHEAD: u64 = 16 * 1024;
/// The longest trailer section.
const MAX_TRAILERS: usize = 8 * 1024;

/// What to do with the bytes at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// So many bytes, from the first on, go on.
    Release(usize),
    /// So many bytes, from the first on, are left out.
    Skip(usize),
    /// Nothing can be said before more bytes come.
    More,
    /// A request for a WebSocket has been let through: what follows is not looked at.
    Hold,
    /// The connection ends here.
    Refuse(Refusal),
}

/// Limits of a head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) head_size: usize,
    pub(super) fields: usize,
    /// Lines of a head may end without CR (RFC 9112 §2.2), and an absolute target replaces the Host
    /// field (§3.2.2).
    pub(super) lenient: bool,
    /// Upgrades to other protocols than WebSocket pass.
    pub(super) other_upgrades: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before or in a head; so many bytes of it have been seen to be lines.
    Head {
        seen: usize,
        empty_lines: u8,
    },
    Body(u64),
    ChunkSize,
    ChunkData(u64),
    /// Behind the data of a chunk.
    ChunkEnd,
    Trailers {
        seen: usize,
    },
    Hold,
}

/// The state of one connection.
#[derive(Clone, Debug)]
pub(super) struct Framing {
    limits: Limits,
    state: State,
    /// Bytes of chunk lines, less the allowance for the data that came.
    overhead: u64,
}

const START: State = State::Head { seen: 0, empty_lines: 0 };

impl Framing {
    pub(super) const fn new(limits: Limits) -> Self {
        Self { limits, state: START, overhead: 0 }
    }

    /// Whether the connection stands between two requests.
    pub(super) const fn is_between_requests(&self) -> bool {
        matches!(self.state, State::Head { .. })
    }

    /// Whether a request for a WebSocket has been let through.
    pub(super) const fn is_holding(&self) -> bool {
        matches!(self.state, State::Hold)
    }

    /// Looks at the bytes that have come and not been released or skipped.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        let step = match self.state {
            State::Hold => return Step::Hold,
            State::Body(0) => {
                self.state = START;
                return self.step(bytes);
            }
            _ if bytes.is_empty() => return Step::More,
            State::Head { seen, empty_lines } => self.head(bytes, seen, empty_lines),
            State::Body(left) => {
                let len = left.min(bytes.len() as u64);
                self.state = State::Body(left - len);
                Ok(Step::Release(len as usize))
            }
            State::ChunkSize => self.chunk_size(bytes),
            State::ChunkData(left) => {
                let len = left.min(bytes.len() as u64);
                let left = left - len;
                self.state = if left == 0 { State::ChunkEnd } else { State::ChunkData(left) };
                self.overhead = self.overhead.saturating_sub(len.saturating_mul(8));
                Ok(Step::Release(len as usize))
            }
            State::ChunkEnd => self.chunk_end(bytes),
            State::Trailers { seen } => self.trailers(bytes, seen),
        };
        step.unwrap_or_else(Step::Refuse)
    }

    fn head(&mut self, bytes: &[u8], seen: usize, empty_lines: u8) -> Result<Step, Refusal> {
        if seen == 0 {
            match bytes {
                [b'\r', b'\n', ..] if empty_lines < MAX_EMPTY_LINES => {
                    self.state = State::Head { seen: 0, empty_lines: empty_lines + 1 };
                    return Ok(Step::Skip(2));
                }
                [b'\n', ..] if self.limits.lenient && empty_lines < MAX_EMPTY_LINES => {
                    self.state = State::Head { seen: 0, empty_lines: empty_lines + 1 };
                    return Ok(Step::Skip(1));
                }
                [b'\r'] => return Ok(Step::More),
                _ => check_start(bytes)?,
            }
        }
        let mut at = seen;
        while let Some(len) = memchr(b'\n', &bytes[at..]) {
            let line = &bytes[at..at + len];
            at += len + 1;
            if at > self.limits.head_size {
                break;
            }
            let line = match line.strip_suffix(b"\r") {
                Some(line) => line,
                None if self.limits.lenient => line,
                None => return Err(Refusal::Bad("a line ends without CR")),
            };
            if line.is_empty() {
                return self.end_of_head(&bytes[..at]);
            }
        }
        if at.max(bytes.len()) > self.limits.head_size {
            let one_line = !bytes[..self.limits.head_size.min(bytes.len())].contains(&b'\n');
            return Err(if one_line { Refusal::TargetTooLong } else { Refusal::HeadTooLong });
        }
        self.state = State::Head { seen: at, empty_lines };
        Ok(Step::More)
    }

    fn end_of_head(&mut self, bytes: &[u8]) -> Result<Step, Refusal> {
        let head = head::check(bytes, self.limits)?;
        self.overhead = 0;
        self.state = match head.body {
            // A body behind an upgrade request would be read as frames by one and as a request by
            // another: such a request is refused, and nothing behind it is looked at.
            _ if head.upgrade => State::Hold,
            Body::Length(length) => State::Body(length),
            Body::Chunked => State::ChunkSize,
        };
        Ok(Step::Release(bytes.len()))
    }

    /// `1*HEXDIG *( ";" ext ) CRLF`
    fn chunk_size(&mut self, bytes: &[u8]) -> Result<Step, Refusal> {
        let Some(line) = whole_line(bytes, MAX_CHUNK_LINE, "a chunk's size is malformed")? else {
            return Ok(Step::More);
        };
        let len = line.len() + 2;
        self.overhead += len as u64;
        if self.overhead > CHUNK_OVERHEAD {
            return Err(Refusal::Bad("the chunks are mostly overhead"));
        }
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let spaces = line[digits..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        let extension = &line[digits + spaces..];
        let fits = (1..=16).contains(&digits)
            && (extension.is_empty() && digits == line.len() || extension.starts_with(b";"))
            && extension.iter().all(|b| *b == b'\t' || (*b >= 0x20 && *b != 0x7f));
        let size =
            std::str::from_utf8(&line[..digits]).ok().and_then(|d| u64::from_str_radix(d, 16).ok());
        let size = size.filter(|size| fits && i64::try_from(*size).is_ok());
        self.state = match size.ok_or(Refusal::Bad("a chunk's size is malformed"))? {
            0 => State::Trailers { seen: 0 },
            size => State::ChunkData(size),
        };
        Ok(Step::Release(len))
    }

    fn chunk_end(&mut self, bytes: &[u8]) -> Result<Step, Refusal> {
        match bytes {
            [b'\r', b'\n', ..] => {
                self.state = State::ChunkSize;
                Ok(Step::Release(2))
            }
            [b'\r'] => Ok(Step::More),
            _ => Err(Refusal::Bad("a chunk is longer than its size")),
        }
    }

    /// Trailer fields, released line by line, and the last empty line.
    fn trailers(&mut self, bytes: &[u8], seen: usize) -> Result<Step, Refusal> {
        let room = MAX_TRAILERS - seen;
        let Some(line) = whole_line(bytes, room, "a trailer is malformed")? else {
            return Ok(Step::More);
        };
        let len = line.len() + 2;
        if line.is_empty() {
            self.state = START;
        } else {
            head::check_trailer(line)?;
            self.state = State::Trailers { seen: (seen + len).min(MAX_TRAILERS) };
        }
        Ok(Step::Release(len))
    }
}

/// A request starts with its method: whatever does not is refused before a line is complete.
fn check_start(bytes: &[u8]) -> Result<(), Refusal> {
    let method = bytes.iter().take_while(|b| is_token_byte(**b)).count();
    let ends_well = bytes.get(method).is_none_or(|b| *b == b' ');
    if !ends_well || method == 0 || method > MAX_METHOD {
        return Err(Refusal::Bad("this is no HTTP request"));
    }
    Ok(())
}

/// A line without its CR LF; `None` when it is not complete.
fn whole_line<'a>(
    bytes: &'a [u8],
    max: usize,
    malformed: &'static str,
) -> Result<Option<&'a [u8]>, Refusal> {
    match bytes.iter().take(max + 2).position(|b| *b == b'\n') {
        Some(end) => bytes[..end].strip_suffix(b"\r").map(Some).ok_or(Refusal::Bad(malformed)),
        None if bytes.len() > max => Err(Refusal::Bad(malformed)),
        None => {
            // A CR that no LF follows ends no line.
            let stray = bytes.iter().rev().skip(1).any(|b| *b == b'\r');
            if stray { Err(Refusal::Bad(malformed)) } else { Ok(None) }
        }
    }
}

#[cfg(test)]
mod tests;
