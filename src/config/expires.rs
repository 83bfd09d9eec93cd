//! `expires`: until when an answer may be kept. It may come out of variables, so it is read for each
//! answer. Pure.

use std::time::Duration;

use super::units;

/// What a value says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expires {
    /// Nothing is said.
    Off,
    /// It is old already.
    Epoch,
    /// For ever.
    Max,
    /// So many seconds from now.
    Access(i64),
    /// From the date of the file.
    Modified(i64),
    /// At this second of the day.
    Daily(i64),
}

impl Expires {
    /// Reads a value; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        Some(match text {
            "off" => Self::Off,
            "epoch" => Self::Epoch,
            "max" => Self::Max,
            _ => match text.strip_prefix("modified") {
                Some(time) => Self::Modified(seconds(time.trim())?),
                None => match text.strip_prefix('@') {
                    Some(time) => {
                        Self::Daily(seconds(time).filter(|time| (0..86_400).contains(time))?)
                    }
                    None => Self::Access(seconds(text)?),
                },
            },
        })
    }
}

/// A time with a sign; without a unit it is in seconds.
fn seconds(text: &str) -> Option<i64> {
    let (sign, time) = match text.strip_prefix('-') {
        Some(time) => (-1, time),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let bare = time.ends_with(|c: char| c.is_ascii_digit()) && time != "0";
    let time = if bare { format!("{time}s") } else { time.to_owned() };
    let time: Duration = units::duration(&time).ok()?;
    Some(sign * i64::try_from(time.as_secs()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        for (text, expires) in [
            ("off", Expires::Off),
            ("epoch", Expires::Epoch),
            ("max", Expires::Max),
            ("2048", Expires::Access(2048)),
            ("-1h", Expires::Access(-3600)),
            ("0", Expires::Access(0)),
            ("modified +1m", Expires::Modified(60)),
            ("@15h30m33s", Expires::Daily(55_833)),
        ] {
            assert_eq!(Expires::parse(text), Some(expires), "{text}");
        }
        for text in ["", "soon", "@25h", "modified", "--1"] {
            assert_eq!(Expires::parse(text), None, "{text}");
        }
    }
}
