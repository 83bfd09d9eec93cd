//! The upstream's end of a tunnel.

use super::recorder::{Origin, Over};
use super::wire::frame;

/// Frames longer than this are answered with 1009.
const MAX_FRAME: u64 = 1 << 26;

impl Origin {
    /// A WebSocket that sends back what it gets. `strict` refuses what RFC 6455 refuses.
    pub(super) async fn echo(&mut self, strict: bool) -> Result<(), Over> {
        loop {
            let head = self.take(2).await?;
            let (first, masked) = (head[0], head[1] & 0x80 != 0);
            let len = match head[1] & 0x7f {
                126 => u64::from(u16::from_be_bytes(self.take(2).await?.try_into().unwrap())),
                127 => u64::from_be_bytes(self.take(8).await?.try_into().unwrap()),
                len => u64::from(len),
            };
            let key = if masked { self.take(4).await? } else { vec![0; 4] };
            if len > MAX_FRAME {
                self.seen.lock().unwrap().frames.push((first, b"<too long>".to_vec()));
                self.write(&frame(0x88, &1009u16.to_be_bytes(), false, 2, 0)).await?;
                return Err(Over);
            }
            let payload = self.take(len as usize).await?;
            let payload: Vec<u8> =
                payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            self.seen.lock().unwrap().frames.push((first, payload.clone()));
            let (opcode, fin) = (first & 0x0f, first & 0x80 != 0);
            let control = opcode >= 8;
            let bad = !masked
                || first & 0x70 != 0
                || !matches!(opcode, 0..=2 | 8..=10)
                || (control && (len > 125 || !fin));
            if bad && strict {
                self.write(&frame(0x88, &1002u16.to_be_bytes(), false, 2, 0)).await?;
                return Err(Over);
            }
            let answer = match opcode {
                8 => {
                    let answer = if is_bad_close(&payload) { vec![3, 0xea] } else { payload };
                    self.write(&frame(0x88, &answer, false, answer.len() as u64, 0)).await?;
                    self.seen.lock().unwrap().ended = true;
                    return Err(Over);
                }
                9 => frame(0x8a, &payload, false, len, 0),
                10 => continue,
                _ => frame(first, &payload, false, len, 0),
            };
            self.write(&answer).await?;
        }
    }
}

fn is_bad_close(payload: &[u8]) -> bool {
    match payload {
        [] => false,
        [high, low, ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
        }
        [_] => true,
    }
}
