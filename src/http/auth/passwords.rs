//! Passwords as `htpasswd` files hold them. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use sha_crypt::{PasswordVerifier as _, ShaCrypt};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

/// The characters of crypt's own base 64.
const CRYPT64: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A line's hash is of a kind that is not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnknownKind;

/// The hash of a user in a file: `name:hash`, or `name:hash:comment`.
pub(super) fn hash_of<'f>(file: &'f str, user: &str) -> Option<&'f str> {
    file.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let (name, rest) = line.split_once(':')?;
        (name == user).then(|| rest.split(':').next().unwrap_or_default().trim_end())
    })
}

/// Whether a password fits a hash.
pub(super) fn fits(password: &str, hash: &str) -> Result<bool, UnknownKind> {
    let password = password.as_bytes();
    let same = |made: &[u8], hash: &str| bool::from(made.ct_eq(hash.as_bytes()));
    if let Some(plain) = hash.strip_prefix("{PLAIN}") {
        return Ok(same(password, plain));
    }
    if let Some(sum) = hash.strip_prefix("{SHA}") {
        return Ok(same(STANDARD.encode(Sha1::digest(password)).as_bytes(), sum));
    }
    if let Some(salted) = hash.strip_prefix("{SSHA}") {
        let Some((sum, salt)) =
            STANDARD.decode(salted).ok().filter(|bytes| bytes.len() >= 20).map(|mut bytes| {
                let salt = bytes.split_off(20);
                (bytes, salt)
            })
        else {
            return Ok(false);
        };
        let made = Sha1::new().chain_update(password).chain_update(salt).finalize();
        return Ok(bool::from(made.as_slice().ct_eq(&sum)));
    }
    match hash.split('$').nth(1) {
        Some(magic @ ("apr1" | "1")) => {
            let salt = hash.split('$').nth(2).unwrap_or_default();
            let made = md5_crypt(password, salt, &format!("${magic}$"));
            Ok(same(made.as_bytes(), hash))
        }
        Some("5" | "6") => Ok(ShaCrypt::default().verify_password(password, hash).is_ok()),
        Some("2a" | "2b" | "2y") => Ok(bcrypt::verify(password, hash).unwrap_or(false)),
        _ => Err(UnknownKind),
    }
}

/// FreeBSD's MD5 crypt, and Apache's, which only differs in its name: `magic`.
fn md5_crypt(password: &[u8], salt: &str, magic: &str) -> String {
    let salt = &salt.as_bytes()[..salt.len().min(8)];
    let inner = Md5::new().chain_update(password).chain_update(salt).chain_update(password);
    let inner = inner.finalize();
    let mut outer = Md5::new().chain_update(password).chain_update(magic).chain_update(salt);
    for chunk in password.chunks(16) {
        outer.update(&inner[..chunk.len()]);
    }
    let mut bits = password.len();
    while bits > 0 {
        outer.update(if bits & 1 == 1 { &[0] } else { &password[..1] });
        bits >>= 1;
    }
    let mut sum = outer.finalize();
    for round in 0..1000 {
        let mut turn = Md5::new();
        let turns: [&[u8]; 2] = if round % 2 == 1 { [password, &sum] } else { [&sum, password] };
        turn.update(turns[0]);
        if round % 3 != 0 {
            turn.update(salt);
        }
        if round % 7 != 0 {
            turn.update(password);
        }
        turn.update(turns[1]);
        sum = turn.finalize();
    }
    let mut text = format!("{magic}{}$", String::from_utf8_lossy(salt));
    let order = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
    for [high, middle, low] in order {
        let three = [high, middle, low].map(|at| u32::from(sum[at]));
        push64(&mut text, three[0] << 16 | three[1] << 8 | three[2], 4);
    }
    push64(&mut text, u32::from(sum[11]), 2);
    text
}

fn push64(text: &mut String, mut bits: u32, digits: usize) {
    for _ in 0..digits {
        text.push(char::from(CRYPT64[(bits & 63) as usize]));
        bits >>= 6;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_hash_is_known() {
        // made by `openssl passwd` and `htpasswd`
        for hash in [
            "$apr1$8sFt66rZ$PYsEnr4HLkxp4TQDEf.Zr1",
            "$1$8sFt66rZ$jISldfOqbFMvZlylaAbyz.",
            "$5$8sFt66rZ$t9nkAbdqMJYfzQ/kXthWKAQBZTtJrkMx9SieWITWuw1",
            "$6$8sFt66rZ$5lwlHP/umt8e5X.5X4MFeS2.lS4v0IVJi1JnchSZgPDo6VcbGOkCqrlt6oJyfSgNudTym7gjeAcCAysDmELlh.",
            "{SHA}PDUC6jG3V40qqE4XqHRFLkyoMVM=",
            "{SSHA}srS3HbeExTpsG+l0modjNjv9+1pzYWx0eQ==",
            "$2b$04$P1Zj39vQe6hgGB1mTpEw3OAM62JhBaNuVZFdKzXZh8VkMUkXuTTAW",
            "{PLAIN}secret word",
        ] {
            assert_eq!(fits("secret word", hash), Ok(true), "{hash}");
            assert_eq!(fits("secret wore", hash), Ok(false), "{hash}");
            assert_eq!(fits("", hash), Ok(false), "{hash}");
        }
        assert_eq!(fits("", "{SSHA}AAAA"), Ok(false));
        assert_eq!(fits("secret word", "rqXexS6ZhobKA"), Err(UnknownKind));
        assert_eq!(fits("", ""), Err(UnknownKind));
    }

    #[test]
    fn the_line_of_a_user_is_found() {
        let file = "# a comment:x\nann:{PLAIN}a:of sales\nbob:{PLAIN}b\r\n\nann:{PLAIN}later";
        assert_eq!(hash_of(file, "ann"), Some("{PLAIN}a"));
        assert_eq!(hash_of(file, "bob"), Some("{PLAIN}b"));
        assert_eq!(hash_of(file, "an"), None);
        assert_eq!(hash_of(file, "# a comment"), None);
    }
}
