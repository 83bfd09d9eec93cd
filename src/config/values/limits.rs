//! `limit_req` and `limit_conn`, in nginx's words.

use crate::config::read::{Fault, FromText};

/// `10r/s`, in thousandths of a request a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct Rate(pub(in crate::config) i64);

impl FromText for Rate {
    const TYPE: &'static str = "rate";
    const NEEDS: &'static str = "a rate such as `\"10r/s\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        let (number, per) = match (text.strip_suffix("r/s"), text.strip_suffix("r/m")) {
            (Some(number), _) => (number, 1),
            (_, Some(number)) => (number, 60),
            _ => ("", 1),
        };
        let number: Option<i64> =
            number.parse().ok().filter(|number| (1..=1_000_000).contains(number));
        let number = number
            .ok_or_else(|| Fault::new("needs a rate").help("write `\"10r/s\"` or `\"30r/m\"`"))?;
        Ok(Self((number * 1000 / per).max(1)))
    }
}

/// One `limit_req`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct LimitReq {
    pub(in crate::config) zone: String,
    pub(in crate::config) burst: u32,
    /// Requests of a burst that do not wait; `None` is all of them.
    pub(in crate::config) delay: Option<u32>,
}

impl FromText for LimitReq {
    const TYPE: &'static str = "zone=NAME burst=N nodelay";

    fn from_text(text: &str) -> Result<Self, Fault> {
        let fault = || {
            Fault::new("needs a zone, and perhaps a burst")
                .help("write such as `\"zone=NAME burst=5 nodelay\"`")
        };
        let mut limit = Self { zone: String::new(), burst: 0, delay: Some(0) };
        for word in text.split_whitespace() {
            match word.split_once('=') {
                Some(("zone", zone)) => zone.clone_into(&mut limit.zone),
                Some(("burst", number)) => limit.burst = number.parse().map_err(|_| fault())?,
                Some(("delay", number)) => limit.delay = Some(number.parse().map_err(|_| fault())?),
                None if word == "nodelay" => limit.delay = None,
                _ => return Err(fault()),
            }
        }
        if limit.zone.is_empty() { Err(fault()) } else { Ok(limit) }
    }
}

/// One `limit_conn`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct LimitConn {
    pub(in crate::config) zone: String,
    pub(in crate::config) limit: u32,
}

impl FromText for LimitConn {
    const TYPE: &'static str = "NAME N";

    fn from_text(text: &str) -> Result<Self, Fault> {
        let fault = || Fault::new("needs a zone and a number").help("write such as `\"NAME 10\"`");
        let (zone, limit) = text.trim().split_once(char::is_whitespace).ok_or_else(fault)?;
        let limit = limit.trim().parse().ok().filter(|limit| *limit > 0).ok_or_else(fault)?;
        Ok(Self { zone: zone.to_owned(), limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nginx_s_words() {
        assert_eq!(Rate::from_text("2r/s").ok(), Some(Rate(2000)));
        assert_eq!(Rate::from_text("30r/m").ok(), Some(Rate(500)));
        for bad in ["", "2", "0r/s", "-1r/s", "2r/h"] {
            assert!(Rate::from_text(bad).is_err(), "{bad}");
        }
        let limit = |text: &str| LimitReq::from_text(text).ok();
        let one = |burst, delay| Some(LimitReq { zone: "one".to_owned(), burst, delay });
        assert_eq!(limit("zone=one"), one(0, Some(0)));
        assert_eq!(limit("zone=one burst=5 nodelay"), one(5, None));
        assert_eq!(limit("burst=5 delay=2 zone=one"), one(5, Some(2)));
        for bad in ["", "one", "zone=one burst=x", "zone=one often"] {
            assert_eq!(limit(bad), None, "{bad}");
        }
        let conn = LimitConn { zone: "one".to_owned(), limit: 3 };
        assert_eq!(LimitConn::from_text("one 3").ok(), Some(conn));
        assert!(LimitConn::from_text("one 0").is_err() && LimitConn::from_text("one").is_err());
    }
}
