//! SHA-1 (RFC 3174) and base64 (RFC 4648), for the handshake; CRC32C, for the PROXY protocol.

pub fn sha1(message: &[u8]) -> [u8; 20] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend((message.len() as u64 * 8).to_be_bytes());
    let mut h: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in padded.chunks(64) {
        let mut w: Vec<u32> =
            block.chunks(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]])).collect();
        for t in 16..80 {
            w.push((w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16]).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = h;
        for (t, word) in w.iter().enumerate() {
            let (f, k) = match t / 20 {
                0 => ((b & c) | (!b & d), 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next.wrapping_add(k));
        }
        for (sum, part) in h.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(part);
        }
    }
    let mut digest = [0; 20];
    for (place, byte) in digest.iter_mut().zip(h.iter().flat_map(|word| word.to_be_bytes())) {
        *place = byte;
    }
    digest
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = char::from(ALPHABET[bits >> (18 - 6 * place) & 63]);
            text.push(if place <= three.len() { letter } else { '=' });
        }
    }
    text
}

/// Whether it is the base64 of 16 bytes: such a text is the same when it is made again.
pub fn is_nonce(text: &[u8]) -> bool {
    let Some(letters) = text.strip_suffix(b"==").filter(|letters| letters.len() == 22) else {
        return false;
    };
    let value = |letter: &u8| ALPHABET.iter().position(|other| other == letter);
    let Some(values) = letters.iter().map(value).collect::<Option<Vec<_>>>() else {
        return false;
    };
    let bits = values.iter().fold(0_u128, |bits, value| bits << 6 | *value as u128);
    // 22 letters have 132 bits: the first 4 are lost above, the last 4 are no data.
    let top = (values[0] as u128) << 122 | (bits & ((1 << 126) - 1)) >> 4;
    base64(&top.to_be_bytes()).as_bytes() == text
}

/// The Castagnoli CRC, as the division of polynomials that it is, the highest power first.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let mut rest = !0_u32;
    for byte in bytes {
        for bit in 0..8 {
            let carry = rest >> 31 ^ u32::from(byte >> bit & 1);
            rest = rest << 1 ^ carry * 0x1edc_6f41;
        }
    }
    !rest.reverse_bits()
}
