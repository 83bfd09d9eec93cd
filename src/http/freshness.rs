//! `expires`: until when an answer may be kept.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{CACHE_CONTROL, EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::respond::set;
use crate::config::expires::Expires;

/// nginx's «for ever».
const MAX: (&str, &str) = ("Thu, 31 Dec 2037 23:55:55 GMT", "max-age=315360000");
/// nginx's «old already».
const EPOCH: (&str, &str) = ("Thu, 01 Jan 1970 00:00:01 GMT", "no-cache");

/// Says it in an answer's headers; a value that is none says nothing.
pub(super) fn tell(value: &str, status: StatusCode, headers: &mut HeaderMap) {
    let fits = matches!(status.as_u16(), 200 | 201 | 204 | 206 | 301 | 302 | 303 | 304 | 307 | 308);
    let modified = headers.get(LAST_MODIFIED).and_then(|date| date.to_str().ok());
    let modified = modified.and_then(|date| httpdate::parse_http_date(date).ok());
    let Some(expires) = Expires::parse(value).filter(|_| fits) else {
        return;
    };
    let now = SystemTime::now();
    let (until, control) = match expires {
        Expires::Off => return,
        Expires::Epoch => (EPOCH.0.to_owned(), EPOCH.1.to_owned()),
        Expires::Max => (MAX.0.to_owned(), MAX.1.to_owned()),
        Expires::Access(seconds) => lasting(now, seconds),
        Expires::Modified(seconds) => {
            let from = modified.unwrap_or(now);
            let age = now.duration_since(from).map_or(0, |age| age.as_secs());
            lasting(now, seconds.saturating_sub(i64::try_from(age).unwrap_or(i64::MAX)))
        }
        Expires::Daily(second) => lasting(now, until_second_of_day(second)),
    };
    for (name, value) in [(EXPIRES, until), (CACHE_CONTROL, control)] {
        set(headers, name, &value);
    }
}

/// The headers of an answer that is fresh for so many seconds.
fn lasting(now: SystemTime, seconds: i64) -> (String, String) {
    let span = Duration::from_secs(seconds.unsigned_abs());
    let at = if seconds < 0 { now.checked_sub(span) } else { now.checked_add(span) };
    let until = httpdate::fmt_http_date(at.unwrap_or(UNIX_EPOCH).max(UNIX_EPOCH));
    let control = if seconds < 0 { "no-cache".to_owned() } else { format!("max-age={seconds}") };
    (until, control)
}

fn until_second_of_day(second: i64) -> i64 {
    let now = Timestamp::now().to_zoned_datetime(TimeZone::system());
    let today =
        i64::from(now.hour()) * 3600 + i64::from(now.minute()) * 60 + i64::from(now.second());
    (second - today).rem_euclid(86_400)
}
