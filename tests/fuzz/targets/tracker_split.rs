//! However a stream is cut, the tracker tells the same: the frames that a plain second reader finds
//! in the whole of it, and where it stops.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wayhold::ws::frame::{Event, Header, Tracker};
use wayhold_fuzz::wire::{self, Tail};
use wayhold_fuzz::{Input, pieces};

/// What a tracker told, without the cuts.
#[derive(Debug, PartialEq)]
struct Told {
    /// Header, its bytes, and the payload seen.
    frames: Vec<(Header, Vec<u8>, u64)>,
    invalid: bool,
    in_frame: bool,
    remaining: u64,
    partial: Vec<u8>,
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let sizes = input.short(16);
    let stream = input.rest();
    let whole = track(&[stream]);
    assert_eq!(whole, track(&pieces(stream, sizes)));
    assert_eq!(whole, track(&pieces(stream, &[1])));
    assert_eq!(whole, expected(stream));
});

fn track(pieces: &[&[u8]]) -> Told {
    let mut tracker = Tracker::default();
    let mut told = Told {
        frames: Vec::new(),
        invalid: false,
        in_frame: false,
        remaining: 0,
        partial: Vec::new(),
    };
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() || (tracker.in_frame() && tracker.remaining() == 0) {
            let before = tracker.clone();
            let (used, event) = tracker.advance(rest);
            let (bytes, later) = rest.split_at(used);
            match event {
                Event::Header(header, withheld) => {
                    assert_eq!(withheld, before.partial_header().len());
                    let raw = [tracker.withheld(withheld), bytes].concat();
                    told.frames.push((header, raw, 0));
                    assert!(tracker.in_frame() && !tracker.at_boundary());
                }
                Event::Payload | Event::End => {
                    let frame = told.frames.last_mut().expect("a payload has a header");
                    frame.2 += used as u64;
                    assert_eq!(event == Event::End, frame.2 == frame.0.len);
                    assert_eq!(event == Event::End, tracker.at_boundary());
                }
                Event::Partial => {
                    assert!(later.is_empty() && !tracker.at_boundary());
                    assert!(tracker.partial_header().ends_with(bytes));
                }
                Event::Invalid => {
                    told.invalid = true;
                    return told;
                }
            }
            assert!(used > 0 || event == Event::End, "no progress");
            rest = later;
        }
    }
    told.in_frame = tracker.in_frame();
    told.remaining = tracker.remaining();
    told.partial = tracker.partial_header().to_vec();
    told
}

fn expected(stream: &[u8]) -> Told {
    let (frames, tail) = wire::frames(stream);
    let remaining = match frames.last() {
        Some(last) if tail == Tail::Frame => (last.end - stream.len() as u128) as u64,
        _ => 0,
    };
    let told = |frame: &wire::Frame| {
        let head = &frame.head;
        let header =
            Header { fin: head.fin(), opcode: head.opcode(), mask: head.mask, len: head.len };
        let seen = frame.bytes(stream).len() - head.size;
        (header, frame.bytes(stream)[..head.size].to_vec(), seen as u64)
    };
    Told {
        frames: frames.iter().map(told).collect(),
        invalid: matches!(tail, Tail::Impossible(_)),
        in_frame: tail == Tail::Frame,
        remaining,
        partial: match tail {
            Tail::Header(at) => stream[at..].to_vec(),
            _ => Vec::new(),
        },
    }
}
