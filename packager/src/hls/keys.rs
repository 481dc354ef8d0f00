//! EXT-X-KEY and EXT-X-SESSION-KEY: how players get at keys, one line for each system
//! (8216bis 4.4.4.4 and 4.4.6.5; each system's own document for its KEYFORMAT).

use std::fmt::Write;

use crate::ids::KeyId;
use crate::label::Label;
use crate::limits;
use crate::period::{Period, Suffix};
use crate::protect::Scheme;
use crate::signalling::{ProtectedTrack, Protection, System, base64};
use crate::title::Track;

/// What a playlist says where a period of a track begins: its init segment and its keys. The keys
/// stand behind EXT-X-MAP, for a key applies to every map after it up to the next, and init segments
/// are in the clear: METHOD=NONE ends the period's before. One that is encrypted whole has its own
/// key before it.
pub(super) fn of_period(protection: &Protection, track: &Track, period: &Period) -> String {
    let protected = protection.of(track, period.segments.start);
    let suffix = period.suffix();
    let is_whole = of_segment(protected, suffix, 0);
    let clear = if period.segments.start > 1 { "#EXT-X-KEY:METHOD=NONE\n" } else { "" };
    let mut to = is_whole.unwrap_or_else(|| clear.to_owned());
    let _ = writeln!(to, "#EXT-X-MAP:URI=\"init{suffix}.mp4\"");
    let key = Key {
        tag: "EXT-X-KEY",
        label: protected.label,
        key_id: protected.protector.key_id(),
        iv: protected.protector.constant_iv(),
        clear_key: "../clearkey",
        raw_key: Some(&format!("key{suffix}")),
    };
    key.write(&mut to, protection);
    to
}

/// The key of one segment, or of the init segment as number 0, where each has an IV of its own:
/// always said, for a player would take the media sequence number for it.
pub(super) fn of_segment(track: &ProtectedTrack, suffix: Suffix, number: u32) -> Option<String> {
    let iv = hex(track.protector.segment_iv(number)?);
    Some(format!("#EXT-X-KEY:METHOD=AES-128,URI=\"key{suffix}\",IV=0x{iv}\n"))
}

/// Each key of the first periods once, for players that ask for licences before they open a
/// playlist. Without IVs: each
/// track has its own; and without raw keys: Shaka Player would fetch them all before it chooses a
/// variant, and give up where one is refused.
pub(super) fn of_session(protection: &Protection, prefix: &str) -> String {
    let mut to = String::new();
    let mut seen = Vec::new();
    for track in protection.tracks_within(limits::SESSION_KEY_PERIODS) {
        if seen.contains(&track.protector.key_id()) {
            continue;
        }
        seen.push(track.protector.key_id());
        let key = Key {
            tag: "EXT-X-SESSION-KEY",
            label: track.label,
            key_id: track.protector.key_id(),
            iv: None,
            clear_key: &format!("{prefix}clearkey"),
            raw_key: None,
        };
        key.write(&mut to, protection);
    }
    to
}

/// One key's lines.
struct Key<'a> {
    tag: &'a str,
    label: Label,
    key_id: KeyId,
    iv: Option<[u8; 16]>,
    /// Where clear keys are handed out as JSON.
    clear_key: &'a str,
    /// Where this one is handed out as 16 bytes, if that is said.
    raw_key: Option<&'a str>,
}

impl Key<'_> {
    fn write(&self, to: &mut String, protection: &Protection) {
        let key_id = hex(self.key_id.0);
        for system in &protection.signals().systems {
            let mut line = |uri: &str, format: &str, names_key: bool| {
                self.line(to, protection.scheme(), uri, format, names_key.then_some(&key_id));
            };
            match system {
                System::Widevine => {
                    let boxes = protection.pssh_boxes(self.key_id);
                    for (_, pssh) in boxes.iter().filter(|(of, _)| of == system) {
                        let uri = format!("data:text/plain;base64,{}", base64(pssh));
                        line(&uri, "urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", true);
                    }
                }
                System::PlayReady => {
                    let object = base64(&protection.playready_object(self.key_id));
                    let uri = format!("data:text/plain;charset=UTF-16;base64,{object}");
                    line(&uri, "com.microsoft.playready", false);
                }
                System::FairPlay => {
                    let uri = protection.fairplay_uri(self.label, self.key_id);
                    line(&uri, "com.apple.streamingkeydelivery", false);
                }
                System::ClearKey if protection.signals().delivers_keys => {
                    // A URI of its own for each key: players keep keys by it. Nobody reads the query.
                    line(&format!("{}?kid={key_id}", self.clear_key), "org.w3.clearkey", true);
                    // hls.js would take a raw key before all others, and can do nothing with it
                    // under SAMPLE-AES in MP4 (1.7.4); under SAMPLE-AES-CTR it leaves it alone.
                    let raw_key = self.raw_key.filter(|_| protection.scheme() == Scheme::Cenc);
                    if let Some(uri) = raw_key {
                        line(uri, "identity", false);
                    }
                }
                // HLS knows no system without a name, and no clear keys from elsewhere.
                System::Common | System::ClearKey => {}
            }
        }
    }

    fn line(&self, to: &mut String, scheme: Scheme, uri: &str, format: &str, id: Option<&String>) {
        let method = match scheme {
            Scheme::Cbcs => "SAMPLE-AES",
            Scheme::Cenc => "SAMPLE-AES-CTR",
            Scheme::Aes128 => "AES-128",
        };
        let _ = write!(to, "#{}:METHOD={method},URI=\"{uri}\"", self.tag);
        if let Some(id) = id {
            let _ = write!(to, ",KEYID=0x{id}");
        }
        if let Some(iv) = self.iv {
            let _ = write!(to, ",IV=0x{}", hex(iv));
        }
        let _ = writeln!(to, ",KEYFORMAT=\"{format}\",KEYFORMATVERSIONS=\"1\"");
    }
}

fn hex(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}
