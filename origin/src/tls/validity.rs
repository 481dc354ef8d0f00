//! From when until when a certificate is good (RFC 5280 4.1.2.5), read from its DER.
//!
//! The crates below TLS check this for peers and do not tell it. It lies near the front:
//!
//! ```text
//! Certificate SEQUENCE { TBSCertificate SEQUENCE {
//!     [0] version OPTIONAL, serialNumber, signature, issuer,
//!     validity SEQUENCE { notBefore, notAfter }, ...
//! ```

use std::time::{SystemTime, UNIX_EPOCH};

use crate::limits;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// A certificate's time, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    from_unix_s: i64,
    until_unix_s: i64,
}

impl Validity {
    /// Reads it from a certificate.
    pub fn read(certificate: &[u8]) -> Option<Self> {
        let (_, certificate, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
        let (_, mut rest, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
        if rest.first() == Some(&VERSION) {
            rest = element(rest)?.2;
        }
        // Serial number, signature, issuer.
        for _ in 0..3 {
            rest = element(rest)?.2;
        }
        let (_, validity, _) = element(rest).filter(|(tag, ..)| *tag == SEQUENCE)?;
        let (tag, from, rest) = element(validity)?;
        let from_unix_s = time(tag, from)?;
        let (tag, until, _) = element(rest)?;
        Some(Self { from_unix_s, until_unix_s: time(tag, until)? })
    }

    /// When it expires.
    pub fn expires_unix_s(self) -> i64 {
        self.until_unix_s
    }

    /// What an operator should know about it.
    pub fn worry(self, now: SystemTime) -> Option<String> {
        let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now_s = i64::try_from(since_1970).unwrap_or(i64::MAX);
        let left_s = self.until_unix_s - now_s;
        if left_s <= 0 {
            Some(format!("it expired {} days ago; clients refuse it: renew it", -left_s / DAY_S))
        } else if now_s < self.from_unix_s {
            Some("it is not valid yet; clients refuse it".to_owned())
        } else if left_s < limits::CERTIFICATE_WORRY_DAYS * DAY_S {
            Some(format!("it expires in {} days: renew it", left_s / DAY_S))
        } else {
            None
        }
    }
}

const DAY_S: i64 = 86_400;

/// A DER element's tag and content, and what follows it. Lengths of up to two bytes: a certificate
/// of 64 KiB is none.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => {
            let (len, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*len)), rest)
        }
        _ => return None,
    };
    Some((tag, rest.get(..len)?, rest.get(len..)?))
}

/// `YYMMDDHHMMSSZ`, where 50 is 1950, or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, text: &[u8]) -> Option<i64> {
    let digits = text.strip_suffix(b"Z")?;
    let mut pairs = digits.chunks(2).map(|pair| match pair {
        [a @ b'0'..=b'9', b @ b'0'..=b'9'] => Some(i64::from(a - b'0') * 10 + i64::from(b - b'0')),
        _ => None,
    });
    let mut pair = || pairs.next().flatten();
    let year = match (tag, digits.len()) {
        (UTC_TIME, 12) => match pair()? {
            year @ 0..50 => 2000 + year,
            year => 1900 + year,
        },
        (GENERALIZED_TIME, 14) => pair()? * 100 + pair()?,
        _ => return None,
    };
    let (month, day) = (pair()?, pair()?);
    let (hour, minute, second) = (pair()?, pair()?, pair()?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some(days_since_1970(year, month, day) * DAY_S + hour * 3_600 + minute * 60 + second)
}

/// Years are taken to begin in March, as `clock` does for the way back.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let from_march = (month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times() {
        for (tag, text, wanted) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (UTC_TIME, "500101000000Z", Some(-631_152_000)),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, "20000229120000Z", Some(951_825_600)),
            (UTC_TIME, "701301000000Z", None),
            (UTC_TIME, "7001010000Z", None),
            (GENERALIZED_TIME, "2000022912000xZ", None),
        ] {
            assert_eq!(time(tag, text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_read_is_what_was_written_and_no_prefix_panics() {
        let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2025, 12, 31);
        params.not_after = rcgen::date_time_ymd(2051, 3, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        let wanted = Validity { from_unix_s: 1_767_139_200, until_unix_s: 2_561_241_600 };
        assert_eq!(Validity::read(&der), Some(wanted));
        for end in 0..der.len() {
            assert_eq!(Validity::read(&der[..end]), None);
        }
    }

    #[test]
    fn worries() {
        let validity = Validity { from_unix_s: 1_000 * DAY_S, until_unix_s: 1_090 * DAY_S };
        for (day, wanted) in [
            (999, "it is not valid yet"),
            (1_000, ""),
            (1_075, ""),
            (1_077, "it expires in 13 days"),
            (1_090, "it expired 0 days ago"),
            (1_095, "it expired 5 days ago"),
        ] {
            let worry = validity.worry(UNIX_EPOCH + Duration::from_secs(day * 86_400));
            let worry = worry.unwrap_or_default();
            assert!(worry.starts_with(wanted) && worry.is_empty() == wanted.is_empty(), "{worry}");
        }
    }
}
