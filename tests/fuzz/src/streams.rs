//! What a tunnel made of two streams, judged from outside: the bytes that came from each leg beside
//! the bytes that went to the other, frame by frame.

use wayhold::ws::Side;

use crate::wire::{self, Frame, Tail};

const CLOSE: u8 = 0x8;

/// The bytes that came from one leg, as an endpoint would read them: what stands behind a whole
/// Close frame is nothing.
pub struct Source<'a> {
    pub bytes: &'a [u8],
    pub frames: Vec<Frame>,
    pub tail: Tail,
    /// A Close frame came, whole.
    pub closed: bool,
}

impl<'a> Source<'a> {
    pub fn read(bytes: &'a [u8]) -> Self {
        let (mut frames, mut tail) = wire::frames(bytes);
        let close = frames.iter().position(|f| f.head.opcode() == CLOSE && f.is_whole(bytes));
        if let Some(close) = close {
            frames.truncate(close + 1);
            tail = Tail::Nothing;
        }
        Self { bytes, frames, tail, closed: close.is_some() }
    }

    /// The code of its Close frame. An Ending takes 0, which no endpoint may send, for none.
    pub fn close_code(&self) -> Option<u16> {
        let payload = self.frames.last().filter(|_| self.closed)?.payload(self.bytes);
        let code = u16::from_be_bytes([*payload.first()?, *payload.get(1)?]);
        Some(code).filter(|code| *code != 0)
    }

    /// Messages that ended, and bytes of payload, control frames left out.
    pub fn figures(&self) -> (u64, u64) {
        let data = || self.frames.iter().filter(|frame| frame.head.opcode() < 8);
        let messages = data().filter(|frame| frame.head.fin()).count();
        let bytes = data().map(|frame| frame.payload(self.bytes).len()).sum::<usize>();
        (messages as u64, bytes as u64)
    }
}

/// One direction, at the end.
pub struct Direction<'a> {
    pub source: Source<'a>,
    /// What went to the other leg.
    pub to: Side,
    pub out: &'a [u8],
    /// The payload of our pings to either leg.
    pub ping_payloads: [[u8; 8]; 2],
    /// The leg it comes from sends no more, and its end was seen.
    pub source_ended: bool,
    /// The leg it goes to was given up, or broke.
    pub target_dead: bool,
    /// Pings to the leg it goes to are allowed.
    pub pings: bool,
}

/// What went to a leg that did not come from the other.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Own {
    pub pings: usize,
    pub close: Option<Option<u16>>,
}

impl Direction<'_> {
    /// Every byte that went out is the next that came in, or a frame of our own at a boundary; and
    /// every byte that came in went out, as far as the leg was to get it.
    pub fn check(&self) -> Own {
        let mut own = Own::default();
        let (frames, tail) = wire::frames(self.out);
        assert!(!matches!(tail, Tail::Impossible(_)), "an impossible header went out");
        let mut next = 0;
        let mut closes = 0;
        for (number, frame) in frames.iter().enumerate() {
            if self.is_forwarded(frame, &mut next) {
                next += 1;
            } else {
                self.check_own(frame, &mut own);
            }
            if frame.head.opcode() == CLOSE {
                closes += 1;
                assert_eq!((number + 1, closes), (frames.len(), 1), "behind a Close");
                let behind = frame.is_whole(self.out) && tail != Tail::Nothing;
                assert!(!behind, "half a header behind a Close");
            }
        }
        if closes == 0 && !self.target_dead {
            self.check_complete(next, tail);
        }
        own
    }

    /// Whether it is the next frame that came in, our pongs left out; `next` moves on to it.
    fn is_forwarded(&self, frame: &Frame, next: &mut usize) -> bool {
        let bytes = frame.bytes(self.out);
        let mut begins = None;
        for (number, came) in self.source.frames.iter().enumerate().skip(*next) {
            if came.head == frame.head && came.bytes(self.source.bytes).starts_with(bytes) {
                // A cut frame may look like the beginning of a pong that was swallowed before it.
                if came.is_whole(self.source.bytes) == frame.is_whole(self.out) {
                    *next = number;
                    return true;
                }
                begins = begins.or(Some(number));
            }
            if !self.is_our_pong(came) {
                break;
            }
        }
        *next = begins.unwrap_or(*next);
        begins.is_some()
    }

    /// The answer to a ping of ours: it may be swallowed.
    fn is_our_pong(&self, frame: &Frame) -> bool {
        self.may_be_our_pong(frame)
            && frame.is_whole(self.source.bytes)
            && frame.payload(self.source.bytes) == self.ping_payloads[self.to.other() as usize]
    }

    fn may_be_our_pong(&self, frame: &Frame) -> bool {
        frame.head.fin() && frame.head.opcode() == 0xa && frame.head.len == 8
    }

    fn check_own(&self, frame: &Frame, own: &mut Own) {
        let masked = self.to == Side::Upstream;
        assert!(frame.is_whole(self.out), "half a frame that nobody sent: {frame:?}");
        assert_eq!(frame.head.mask.is_some(), masked, "towards the upstream, and only there");
        assert_eq!(frame.head.size, if masked { 6 } else { 2 });
        let payload = frame.payload(self.out);
        match frame.head.first {
            0x89 => {
                assert!(self.pings, "a ping that nobody asked for");
                assert_eq!(payload, self.ping_payloads[self.to as usize]);
                own.pings += 1;
            }
            0x88 => {
                let code = match payload[..] {
                    [] => None,
                    [high, low] => Some(u16::from_be_bytes([high, low])),
                    _ => panic!("a Close of ours with a reason"),
                };
                // RFC 6455 §7.4
                let fits = |code| {
                    (1000..5000).contains(&code) && ![1004, 1005, 1006, 1015].contains(&code)
                };
                assert!(code.is_none_or(fits), "{code:?} on the wire");
                own.close = Some(code);
            }
            _ => panic!("a frame that nobody sent: {frame:?} {}", self.out.escape_ascii()),
        }
    }

    /// Nothing that came in is missing, from frame `next` on, but what may be withheld.
    fn check_complete(&self, next: usize, tail: Tail) {
        let (bytes, frames) = (self.source.bytes, &self.source.frames);
        let cut = frames.last().filter(|_| self.source.tail == Tail::Frame);
        if tail == Tail::Frame {
            assert!(cut.is_some() && next == frames.len(), "a frame that came whole went out cut");
        }
        let rest = &frames[next.min(frames.len())..];
        for frame in rest {
            let held = Some(frame) == cut && self.may_be_our_pong(frame) && !self.source_ended;
            assert!(held || self.is_our_pong(frame), "missing: {frame:?}");
        }
        if let Some(cut) = cut.filter(|_| rest.is_empty()) {
            let (out, _) = wire::frames(self.out);
            let went = out.last().map(|frame| frame.bytes(self.out));
            assert_eq!(went, Some(cut.bytes(bytes)), "a frame under way goes on as it comes");
        }
        match (self.source.tail, tail) {
            (Tail::Header(came), Tail::Header(went)) => {
                assert!(self.source_ended, "half a header went out");
                assert_eq!(bytes[came..], self.out[went..]);
            }
            (Tail::Header(_), _) => assert!(!self.source_ended, "half a header is missing"),
            (_, Tail::Header(_)) => panic!("half a header that nobody sent"),
            _ => {}
        }
        let boundary = self.source.tail == Tail::Nothing;
        assert!(!(self.source_ended && boundary), "a leg that ended becomes a Close to the other");
    }
}
