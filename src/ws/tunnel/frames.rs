//! Bytes from a leg: frame by frame, what goes on to the other leg. This is the hot path.

use super::super::cut::Cut;
use super::super::frame::{Event, Header, PING_PAYLOAD, opcode, unmask};
use super::super::{NEVER, Side, rules};
use super::{Context, Fate, Tunnel};
use crate::ending::{Cause, Initiator};

/// Bytes of a close code.
const CLOSE_CODE: usize = 2;

/// A header as it stands in the chunk.
struct Head<'a> {
    header: Header,
    /// Bytes of it that came before the chunk.
    withheld: usize,
    start: usize,
    bytes: &'a [u8],
}

impl Tunnel {
    /// Takes bytes that came from a leg and gives back what goes to the other: the chunk itself
    /// wherever nothing has to be changed, else a copy in `scratch`.
    pub fn receive<'a>(
        &mut self,
        from: Side,
        chunk: &'a [u8],
        cx: &Context<'_>,
        scratch: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        let side = from as usize;
        self.legs[side].heard = cx.now;
        if self.is_opaque() {
            return self.pass(from, chunk, cx);
        }
        let bytes_before = self.streams[side].bytes;
        let mut cut = Cut::new(chunk, scratch);
        let mut pos = 0;
        while self.reads_on(from, chunk.len() - pos) {
            let (used, event) = self.streams[side].tracker.advance(&chunk[pos..]);
            let start = pos;
            pos += used;
            match event {
                Event::Header(header, withheld) => {
                    let head = Head { header, withheld, start, bytes: &chunk[start..pos] };
                    self.begin_frame(from, &head, cx, &mut cut);
                }
                Event::Payload => self.payload(from, start, &chunk[start..pos], cx, &mut cut),
                Event::End => {
                    self.payload(from, start, &chunk[start..pos], cx, &mut cut);
                    self.end_frame(from, pos, cx, &mut cut);
                }
                Event::Partial => cut.remove(start, pos),
                Event::Invalid => {
                    cut.remove(start, pos);
                    self.expel(from, Cause::Protocol, cx);
                }
            }
        }
        cx.cells.payload[side].add(self.streams[side].bytes - bytes_before);
        cut.remove(pos, chunk.len());
        cut.finish()
    }

    /// Bytes of another protocol go on as they are.
    fn pass<'a>(&mut self, from: Side, chunk: &'a [u8], cx: &Context<'_>) -> &'a [u8] {
        let len = chunk.len() as u64;
        self.last_data = cx.now;
        self.streams[from as usize].bytes += len;
        cx.cells.payload[from as usize].add(len);
        chunk
    }

    /// How many of the next bytes from a leg are payload that goes on as it is: they need not be seen.
    #[inline]
    pub fn passing(&self, from: Side) -> u64 {
        let stream = &self.streams[from as usize];
        let (leg, to) = (&self.legs[from as usize], &self.legs[from.other() as usize]);
        let forwarded = stream.fate == Fate::Forward && !stream.frame.is_control();
        if stream.tracker.in_frame() && forwarded && !leg.ended && !to.ended && !to.dead {
            stream.tracker.remaining()
        } else {
            0
        }
    }

    /// Whether the last frames from a leg were so long that the next one's header is best looked at
    /// alone.
    pub const fn has_long_frames(&self, from: Side) -> bool {
        self.legs[from as usize].long_frames
    }

    /// What its next frame is likely to be.
    pub const fn expect_long_frames(&mut self, from: Side, long: bool) {
        self.legs[from as usize].long_frames = long;
    }

    /// So many bytes, at most [`Tunnel::passing`], went on unseen. At the end of the frame an empty
    /// [`Tunnel::receive`] is due, for what waits for it.
    pub fn passed(&mut self, from: Side, len: u64, cx: &Context<'_>) {
        let side = from as usize;
        self.legs[side].heard = cx.now;
        self.streams[side].bytes += len;
        self.streams[side].tracker.skip(len);
        cx.cells.payload[side].add(len);
    }

    /// Whether anything more of the chunk is to be looked at: not behind a Close, not behind a
    /// frame that was refused. An empty frame ends without a byte.
    #[inline]
    fn reads_on(&self, from: Side, left: usize) -> bool {
        let leg = &self.legs[from as usize];
        let tracker = &self.streams[from as usize].tracker;
        let empty_frame = tracker.in_frame() && tracker.remaining() == 0;
        (left > 0 || empty_frame) && !leg.close_received && !leg.deaf
    }

    /// A header is complete: what becomes of its frame is decided now.
    fn begin_frame(&mut self, from: Side, head: &Head<'_>, cx: &Context<'_>, cut: &mut Cut<'_>) {
        let Head { header, withheld, start, bytes } = *head;
        let to = from.other() as usize;
        let validate = cx.policy.validate;
        if validate && !self.is_proper(from, head) {
            return self.refuse(from, head, Cause::Protocol, cx, cut);
        }
        self.count(from, &header, cx);
        let ours = header.opcode == opcode::PONG
            && header.fin
            && header.len == PING_PAYLOAD as u64
            && self.legs[from as usize].ever_pinged;
        let too_big = !header.is_control() && self.too_big(from, &header, cx);
        if too_big {
            if validate {
                return self.refuse(from, head, Cause::TooBig, cx, cut);
            }
            self.eject(Cause::TooBig, cx);
            // A tunnel that is closing already is not ejected; yet nothing may follow the hole that
            // this frame leaves.
            let other = &mut self.legs[to];
            if !other.close_sent && !other.dead {
                other.want_close.get_or_insert(cx.policy.close_codes.too_big);
            }
            // The frame is not let through, so this is a boundary.
            if self.wants(from.other()) {
                self.put_wanted(from.other(), cx, cut.settle(start));
            }
        }
        let stream = &mut self.streams[from as usize];
        stream.frame = header;
        stream.close_code = 0;
        if too_big || self.legs[to].close_sent || self.legs[to].dead {
            stream.fate = Fate::Drop;
            cut.remove(start, start + bytes.len());
        } else if ours || (validate && has_close_code(&header)) {
            stream.fate = Fate::Hold;
            let len = withheld + bytes.len();
            stream.held[..withheld].copy_from_slice(stream.tracker.withheld(withheld));
            stream.held[withheld..len].copy_from_slice(bytes);
            stream.held_len = len as u8;
            cut.remove(start, start + bytes.len());
        } else {
            stream.fate = Fate::Forward;
            if withheld > 0 {
                cut.insert(start, stream.tracker.withheld(withheld));
            }
        }
    }

    /// Whether a frame may stand here, as far as its header tells.
    fn is_proper(&self, from: Side, head: &Head<'_>) -> bool {
        let stream = &self.streams[from as usize];
        let first = stream.tracker.withheld(head.withheld).first().unwrap_or(&head.bytes[0]);
        let size = head.withheld + head.bytes.len();
        rules::is_proper(from, *first, &head.header, size, stream.in_message, self.extensions)
    }

    /// A frame is not let through, and nothing behind it is looked at.
    #[cold]
    fn refuse(
        &mut self,
        from: Side,
        head: &Head<'_>,
        cause: Cause,
        cx: &Context<'_>,
        cut: &mut Cut<'_>,
    ) {
        let stream = &mut self.streams[from as usize];
        stream.frame = head.header;
        stream.fate = Fate::Drop;
        cut.remove(head.start, head.start + head.bytes.len());
        self.expel(from, cause, cx);
    }

    fn count(&mut self, from: Side, header: &Header, cx: &Context<'_>) {
        let side = from as usize;
        if header.is_control() {
            match header.opcode {
                opcode::PING => cx.cells.ping[side].add(1),
                opcode::PONG => cx.cells.pong[side].add(1),
                opcode::CLOSE => cx.cells.close[side].add(1),
                _ => {}
            }
            return;
        }
        self.last_data = cx.now;
        let stream = &mut self.streams[side];
        if header.opcode != opcode::CONTINUATION {
            stream.message = header.opcode;
            stream.message_len = 0;
        }
        stream.message_len = stream.message_len.saturating_add(header.len);
        stream.in_message = !header.fin;
        if header.fin {
            stream.messages += 1;
            match stream.message {
                opcode::TEXT => cx.cells.text[side].add(1),
                _ => cx.cells.binary[side].add(1),
            }
        }
    }

    fn too_big(&self, from: Side, header: &Header, cx: &Context<'_>) -> bool {
        let stream = &self.streams[from as usize];
        cx.policy.max_frame_size.is_some_and(|max| header.len > max)
            || cx.policy.max_message_size.is_some_and(|max| stream.message_len > max)
    }

    /// Payload of the frame under way, from `start` of the chunk on.
    #[inline]
    fn payload(
        &mut self,
        from: Side,
        start: usize,
        bytes: &[u8],
        cx: &Context<'_>,
        cut: &mut Cut<'_>,
    ) {
        let stream = &mut self.streams[from as usize];
        if stream.frame.is_control() {
            if stream.frame.opcode == opcode::CLOSE {
                stream.read_close_code(bytes);
            }
        } else {
            stream.bytes += bytes.len() as u64;
        }
        if stream.fate == Fate::Forward {
            return;
        }
        if stream.fate == Fate::Hold && stream.frame.opcode == opcode::CLOSE {
            return self.held_close(from, start, bytes, cx, cut);
        }
        cut.remove(start, start + bytes.len());
        if stream.fate == Fate::Hold {
            let at = usize::from(stream.held_len);
            stream.held[at..at + bytes.len()].copy_from_slice(bytes);
            stream.held_len += bytes.len() as u8;
        }
    }

    /// The stream stands behind a frame, at `pos` of the chunk.
    #[inline]
    fn end_frame(&mut self, from: Side, pos: usize, cx: &Context<'_>, cut: &mut Cut<'_>) {
        let stream = &self.streams[from as usize];
        if stream.fate == Fate::Hold {
            self.decide_held(from, pos, cx, cut);
        } else if stream.frame.opcode == opcode::CLOSE && !self.legs[from as usize].deaf {
            self.close_frame(from, cx);
        }
        if self.wants(from.other()) {
            self.put_wanted(from.other(), cx, cut.settle(pos));
        }
    }

    /// The answer to our ping is swallowed; somebody else's pong goes on, unless a Close of ours
    /// overtook it.
    fn decide_held(&mut self, from: Side, pos: usize, cx: &Context<'_>, cut: &mut Cut<'_>) {
        let expected = self.ping_payload(from);
        let to = &self.legs[from.other() as usize];
        let passes = !to.close_sent && !to.dead;
        let stream = &mut self.streams[from as usize];
        stream.fate = Fate::Drop;
        let held = &stream.held[..usize::from(stream.held_len)];
        let payload = &held[held.len() - PING_PAYLOAD..];
        let mask = stream.frame.mask;
        let ours = (0..).zip(payload).zip(&expected).all(|((i, b), e)| unmask(*b, i, mask) == *e);
        if !ours {
            if passes {
                cut.insert(pos, held);
            }
            return;
        }
        let leg = &mut self.legs[from as usize];
        if leg.pinged != NEVER {
            let rtt = u32::try_from(cx.now.saturating_sub(leg.pinged)).unwrap_or(u32::MAX);
            leg.pinged = NEVER;
            self.rtt_last = Some(rtt);
            self.rtt_max = self.rtt_max.max(Some(rtt));
            self.rtt_fresh = Some((from, rtt));
        }
    }

    /// More of a Close frame that is kept until its code is known. Then it goes on, or is
    /// refused, or a Close of ours has overtaken it.
    #[cold]
    fn held_close(
        &mut self,
        from: Side,
        start: usize,
        bytes: &[u8],
        cx: &Context<'_>,
        cut: &mut Cut<'_>,
    ) {
        let to = &self.legs[from.other() as usize];
        let passes = !to.close_sent && !to.dead;
        let stream = &mut self.streams[from as usize];
        let at = usize::from(stream.held_len);
        let missing = CLOSE_CODE - (at - stream.frame.shortest());
        let kept = missing.min(bytes.len());
        stream.held[at..at + kept].copy_from_slice(&bytes[..kept]);
        stream.held_len += kept as u8;
        cut.remove(start, start + kept);
        if kept < missing {
            return;
        }
        let proper = rules::is_close_code(stream.close_code);
        if proper && passes {
            stream.fate = Fate::Forward;
            cut.insert(start + kept, &stream.held[..at + kept]);
            return;
        }
        stream.fate = Fate::Drop;
        cut.remove(start + kept, start + bytes.len());
        if !proper {
            self.expel(from, Cause::Protocol, cx);
        }
    }

    /// A Close frame is complete. If it was forwarded, the other leg has its Close.
    fn close_frame(&mut self, from: Side, cx: &Context<'_>) {
        self.legs[from as usize].close_received = true;
        let stream = &self.streams[from as usize];
        if stream.fate != Fate::Forward {
            return;
        }
        let code = (stream.close_code != super::NO_CODE).then_some(stream.close_code);
        let other = &mut self.legs[from.other() as usize];
        other.close_sent = true;
        other.want_close = None;
        let initiator = match from {
            Side::Client => Initiator::Client,
            Side::Upstream => Initiator::Upstream,
        };
        self.begin_end(initiator, Cause::CloseFrame, code, cx);
    }

    /// At the end of a stream: bytes withheld from the other leg go out after all. Says whether the
    /// stream ends at a frame boundary.
    pub(super) fn release_withheld(&mut self, from: Side, out: &mut Vec<u8>) -> bool {
        let to = &self.legs[from.other() as usize];
        let stream = &mut self.streams[from as usize];
        // An impossible header is not passed on, whole or in pieces.
        if stream.tracker.at_boundary() || self.legs[from as usize].deaf {
            return true;
        }
        if to.close_sent || to.dead {
            return false;
        }
        if stream.tracker.in_frame() {
            if stream.fate == Fate::Hold {
                out.extend_from_slice(&stream.held[..usize::from(stream.held_len)]);
            }
        } else {
            out.extend_from_slice(stream.tracker.partial_header());
        }
        false
    }
}

/// Whether it is a Close with a code in its payload.
const fn has_close_code(header: &Header) -> bool {
    header.opcode == opcode::CLOSE && header.len >= CLOSE_CODE as u64
}

impl super::Stream {
    /// The first two bytes of a Close frame's payload are its code (RFC 6455 §5.5.1). `bytes` has
    /// just been counted by the tracker.
    fn read_close_code(&mut self, bytes: &[u8]) {
        if self.frame.len < 2 {
            return;
        }
        let first = self.frame.len - self.tracker.remaining() - bytes.len() as u64;
        for (offset, byte) in (first..2).zip(bytes) {
            let byte = unmask(*byte, offset, self.frame.mask);
            self.close_code = self.close_code << 8 | u16::from(byte);
        }
    }
}
