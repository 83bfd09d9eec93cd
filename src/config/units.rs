//! Times and sizes with their units, in nginx's spelling.

use std::time::Duration;

use super::read::Fault;

/// Units of time in milliseconds, in the order in which they may follow each other.
const TIMES: [(&str, u64); 8] = [
    ("y", 365 * 86_400_000),
    ("M", 30 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A hundred years in milliseconds: what is longer is a mistake.
const LONGEST: u64 = 100 * 365 * 86_400_000;

/// A time such as `600s`, `500ms` or `1h30m`. `0` needs no unit.
pub(super) fn duration(text: &str) -> Result<Duration, Fault> {
    let trimmed = text.trim();
    if trimmed == "0" {
        return Ok(Duration::ZERO);
    }
    if !trimmed.is_empty() && trimmed.bytes().all(|b| b.is_ascii_digit()) {
        return Err(no_time_unit(trimmed));
    }
    let mut rest = trimmed;
    let mut total = 0u64;
    let mut allowed = &TIMES[..];
    while !rest.is_empty() {
        let (digits, unit, tail) = number_and_unit(rest);
        let number: u64 = digits.parse().map_err(|_| not_a_time())?;
        let at = allowed.iter().position(|(name, _)| *name == unit).ok_or_else(|| {
            if TIMES.iter().any(|(name, _)| *name == unit) {
                Fault::new("has its units out of order").help("write the largest first: `1h30m`")
            } else {
                not_a_time()
            }
        })?;
        total = number
            .checked_mul(allowed[at].1)
            .and_then(|ms| ms.checked_add(total))
            .filter(|ms| *ms <= LONGEST)
            .ok_or_else(|| Fault::new("is longer than a hundred years"))?;
        allowed = &allowed[at + 1..];
        rest = tail;
    }
    if trimmed.is_empty() {
        return Err(not_a_time());
    }
    Ok(Duration::from_millis(total))
}

/// A number without its unit: both spellings it could have meant.
pub(super) fn no_time_unit(number: &str) -> Fault {
    Fault::new("needs a time with its unit")
        .help(format!("write `\"{number}s\"` for seconds or `\"{number}ms\"` for milliseconds"))
}

fn not_a_time() -> Fault {
    Fault::new("needs a time such as `\"600s\"`")
        .help("the units are ms, s, m, h, d, w, M (30 days) and y; they combine: `\"1h30m\"`")
}

/// The digits, the letters behind them, and what follows.
fn number_and_unit(text: &str) -> (&str, &str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    let rest = rest.trim_start();
    let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (unit, rest) = rest.split_at(letters);
    (number, unit, rest.trim_start())
}

/// A size in bytes such as `16k`, `1MiB` or `4096`.
pub(super) fn size(text: &str) -> Result<u64, Fault> {
    let (digits, unit, rest) = number_and_unit(text.trim());
    let number: u64 = digits.parse().map_err(|_| not_a_size())?;
    if !rest.is_empty() {
        return Err(not_a_size());
    }
    let unit = unit.to_ascii_lowercase();
    let shift = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "kb" | "mb" | "gb" => return Err(thousand_or_1024(number, &unit)),
        _ => return Err(not_a_size()),
    };
    number
        .checked_mul(1 << shift)
        .filter(|bytes| i64::try_from(*bytes).is_ok())
        .ok_or_else(|| Fault::new("is too large"))
}

/// An integer where a size is needed: both spellings it could have meant.
pub(super) fn no_size_unit(number: &str) -> Fault {
    Fault::new("needs a size with its unit").help(format!(
        "write `\"{number}k\"` for KiB, `\"{number}m\"` for MiB, or `\"{number}\"` for bytes"
    ))
}

fn thousand_or_1024(number: u64, unit: &str) -> Fault {
    let letter = &unit[..1];
    let upper = letter.to_uppercase();
    Fault::new("has an ambiguous unit").help(format!(
        "write `\"{number}{letter}\"` or `\"{number}{upper}iB\"`: units are 1024-based, as nginx's"
    ))
}

fn not_a_size() -> Fault {
    Fault::new("needs a size such as `\"16k\"` or `\"1MiB\"`")
        .help("the units are k, m and g (KiB, MiB, GiB), 1024-based; bytes have none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_nginx_s() {
        for (text, ms) in [
            ("600s", 600_000),
            ("500ms", 500),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("1M", 30 * 86_400_000),
            ("1m", 60_000),
            ("1y", 365 * 86_400_000),
            ("0", 0),
        ] {
            assert_eq!(duration(text).ok(), Some(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn other_times_are_refused() {
        for text in
            ["", "60", "s", "5 min", "1.5s", "-1s", "30m1h", "1s1s", "999999999y", "1S", "ü"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_1024_based() {
        for (text, bytes) in
            [("16k", 16 << 10), ("1MiB", 1 << 20), ("1m", 1 << 20), ("2G", 2 << 30), ("4096", 4096)]
        {
            assert_eq!(size(text).ok(), Some(bytes), "{text}");
        }
        for text in ["", "k", "1KB", "1MB", "4 8k", "1t", "99999999999999999999", "99999999999g"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
