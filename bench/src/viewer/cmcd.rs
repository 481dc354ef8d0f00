//! Common Media Client Data (CTA-5004) as request headers.
//!
//! Four headers by how often their keys change; keys in alphabetical order, one that has no value
//! left out (CTA-5004 2 and 3). Times are rounded to 100 ms and rates to 100 kbit/s where the
//! document says so, so that they tell no client from another.

use std::time::Duration;

use crate::manifest::{Kind, Protocol};
use crate::number;

/// What a request is for (key `ot`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// A manifest or playlist.
    Manifest,
    /// An init section.
    Init,
    /// A segment.
    Media(Kind),
}

/// What a player tells with a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Cmcd<'a> {
    /// What is asked for.
    pub object: Object,
    /// The session, at most 64 characters.
    pub session: &'a str,
    /// The title, at most 64 characters.
    pub content: &'a str,
    /// What manifests are of.
    pub protocol: Protocol,
    /// Bits a second of what is asked for.
    pub bitrate_bps: Option<u64>,
    /// Bits a second of the best there is.
    pub top_bps: Option<u64>,
    /// How long the segment lasts.
    pub duration: Option<Duration>,
    /// Media ahead.
    pub ahead: Option<Duration>,
    /// Bits a second that were measured.
    pub throughput_bps: Option<f64>,
    /// What will be asked for next, relative to this.
    pub next: Option<&'a str>,
    /// Whether it is wanted at once: at a start, after a seek or in a stall.
    pub urgent: bool,
    /// Whether it stalled since the last request.
    pub starved: bool,
}

impl Cmcd<'_> {
    /// Names and values of the headers that have something to say.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let hundreds = |value: f64| number::whole(value / 100.0) * 100;
        let kbps = |bps: u64| bps.div_ceil(1000).to_string();
        let ahead_ms = self.ahead.map(|ahead| hundreds(number::millis(ahead)).to_string());
        let is_media = matches!(self.object, Object::Media(_));
        let of_media = |value: Option<String>| value.filter(|_| is_media);
        let object = [
            ("br", of_media(self.bitrate_bps.map(kbps))),
            ("d", of_media(self.duration.map(|d| number::whole(number::millis(d)).to_string()))),
            ("ot", Some(self.object_type().to_owned())),
            ("tb", of_media(self.top_bps.map(kbps))),
        ];
        let request = [
            ("bl", of_media(ahead_ms.clone())),
            ("dl", of_media(ahead_ms)),
            ("mtp", self.throughput_bps.map(|bps| hundreds(bps / 1000.0).to_string())),
            ("nor", self.next.map(|next| format!("\"{}\"", percent_encoded(next)))),
            ("su", self.urgent.then(String::new)),
        ];
        let protocol = match self.protocol {
            Protocol::Dash => "d",
            Protocol::Hls => "h",
        };
        let session = [
            ("cid", Some(quoted(self.content))),
            ("sf", Some(protocol.to_owned())),
            ("sid", Some(quoted(self.session))),
            ("st", Some("v".to_owned())),
        ];
        let status = [("bs", self.starved.then(String::new))];
        [
            ("cmcd-object", line(&object)),
            ("cmcd-request", line(&request)),
            ("cmcd-session", line(&session)),
            ("cmcd-status", line(&status)),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect()
    }

    fn object_type(&self) -> &'static str {
        match self.object {
            Object::Manifest => "m",
            Object::Init => "i",
            Object::Media(Kind::Video) => "v",
            Object::Media(Kind::Audio) => "a",
            Object::Media(Kind::Muxed) => "av",
        }
    }
}

/// Pairs with commas between; a true value is its key alone.
fn line(pairs: &[(&str, Option<String>)]) -> String {
    let told: Vec<_> = pairs
        .iter()
        .filter_map(|(key, value)| match value.as_deref()? {
            "" => Some((*key).to_owned()),
            value => Some(format!("{key}={value}")),
        })
        .collect();
    told.join(",")
}

/// Text in quotes, at most 64 characters; `"` and `\` are escaped.
fn quoted(text: &str) -> String {
    let plain = text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(64);
    let mut quoted = String::from("\"");
    for c in plain {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted + "\""
}

fn percent_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> Cmcd<'static> {
        Cmcd {
            object: Object::Media(Kind::Video),
            session: "6e2fb550-c457-11e9-bb97-0800200c9a66",
            content: "film",
            protocol: Protocol::Hls,
            bitrate_bps: Some(3_200_000),
            top_bps: Some(6_000_001),
            duration: Some(Duration::from_micros(4_004_400)),
            ahead: Some(Duration::from_millis(21_349)),
            throughput_bps: Some(25_432_100.0),
            next: Some("../v 1/5.m4s"),
            urgent: true,
            starved: true,
        }
    }

    #[test]
    fn a_segment_tells_all() {
        let wanted = [
            ("cmcd-object", "br=3200,d=4004,ot=v,tb=6001"),
            ("cmcd-request", "bl=21300,dl=21300,mtp=25400,nor=\"..%2Fv%201%2F5.m4s\",su"),
            ("cmcd-session", "cid=\"film\",sf=h,sid=\"6e2fb550-c457-11e9-bb97-0800200c9a66\",st=v"),
            ("cmcd-status", "bs"),
        ];
        assert_eq!(segment().headers(), wanted.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn a_manifest_tells_nothing_of_media() {
        let manifest = Cmcd {
            object: Object::Manifest,
            content: "a\"b\\\u{e4}\n",
            protocol: Protocol::Dash,
            throughput_bps: None,
            next: None,
            urgent: false,
            starved: false,
            ..segment()
        };
        let wanted = [
            ("cmcd-object", "ot=m"),
            (
                "cmcd-session",
                "cid=\"a\\\"b\\\\\",sf=d,sid=\"6e2fb550-c457-11e9-bb97-0800200c9a66\",st=v",
            ),
        ];
        assert_eq!(manifest.headers(), wanted.map(|(name, value)| (name, value.to_owned())));
    }
}
