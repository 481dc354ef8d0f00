//! What a key server answers: the keys of a CPIX document, in clear.
//!
//! `ContentKeyList` is read, and of `DRMSystemList` what players are told: pssh boxes, and FairPlay's URI. Names are
//! compared without their prefixes. What is said of a wrong answer repeats nothing of it but ids.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use headwater_packager::drm::{self, SystemId};
use headwater_packager::encrypt::ContentKey;
use headwater_packager::ids::KeyId;
use headwater_packager::signalling::Told;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use zeroize::Zeroizing;

use crate::keys::TrackKey;
use crate::limits;

/// The keys of a document of this scheme, each id once. The error is for the log.
pub fn parse(body: &[u8], scheme: &str) -> Result<Vec<TrackKey>, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the answer is not UTF-8".to_owned())?;
    let mut document = Document { scheme, ..Document::default() };
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    loop {
        let at = reader.buffer_position();
        // The parser's own words may repeat what it read.
        let event = reader.read_event().map_err(|_| format!("not XML at byte {at}"))?;
        match event {
            Event::Start(start) => document.open(&start)?,
            Event::Empty(start) => {
                document.open(&start)?;
                document.close()?;
            }
            Event::End(_) => document.close()?,
            Event::Text(text) => document.text(&text.into_inner())?,
            Event::CData(text) => document.text(&text.into_inner())?,
            // An entity in a key is none of base64; a document type is where XML grows.
            Event::GeneralRef(_) => document.text("&")?,
            Event::DocType(_) => return Err("a document type has no place in CPIX".to_owned()),
            Event::Eof => break,
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
        }
    }
    if !document.path.is_empty() || !document.is_cpix {
        return Err("not a whole CPIX document".to_owned());
    }
    let mut keys = document.keys;
    for (id, said) in document.said {
        // What is said of a key that did not come is of no use to anybody.
        if let Some(key) = keys.iter_mut().find(|key| key.id == id) {
            match said {
                Said::Pssh(system, pssh) => key.told.pssh.push((system, pssh)),
                Said::FairPlay(uri) => key.told.fairplay_uri = Some(uri),
            }
        }
    }
    Ok(keys)
}

/// What an answer says of a key for players.
enum Said {
    Pssh(SystemId, Vec<u8>),
    FairPlay(String),
}

/// What was read so far.
#[derive(Default)]
struct Document<'a> {
    scheme: &'a str,
    /// The open elements' names.
    path: Vec<String>,
    is_cpix: bool,
    id: Option<KeyId>,
    value: Zeroizing<String>,
    keys: Vec<TrackKey>,
    /// The DRMSystem that is open, where it is one that is asked for.
    system: Option<SystemId>,
    /// Whether the open HLSSignalingData is for media playlists.
    is_media: bool,
    text: String,
    said: Vec<(KeyId, Said)>,
}

const KEY: &[&str] = &["CPIX", "ContentKeyList", "ContentKey"];
const VALUE: &[&str] = &["CPIX", "ContentKeyList", "ContentKey", "Data", "Secret", "PlainValue"];
const SYSTEM: &[&str] = &["CPIX", "DRMSystemList", "DRMSystem"];
const PSSH: &[&str] = &["CPIX", "DRMSystemList", "DRMSystem", "PSSH"];
const HLS: &[&str] = &["CPIX", "DRMSystemList", "DRMSystem", "HLSSignalingData"];
const ENCRYPTED: &[&str] =
    &["CPIX", "ContentKeyList", "ContentKey", "Data", "Secret", "EncryptedValue"];

impl Document<'_> {
    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), String> {
        if self.path.len() == limits::CPIX_DEPTH {
            return Err(format!("more than {} elements in each other", limits::CPIX_DEPTH));
        }
        if self.path.is_empty() && self.is_cpix {
            return Err("something follows the CPIX document".to_owned());
        }
        self.path.push(start.local_name().as_ref().to_owned());
        self.is_cpix |= self.path == ["CPIX"];
        if self.path == KEY {
            self.id = Some(self.key_id(start)?);
        } else if self.path == SYSTEM {
            (self.id, self.system) = drm_system(start)?;
        } else if self.path == PSSH || self.path == HLS {
            self.text.clear();
            self.is_media = attribute(start, "playlist")?.is_none_or(|of| of == "media");
        } else if self.path == VALUE {
            // Room for all of it at once: a text that grows leaves copies behind.
            self.value = Zeroizing::new(String::with_capacity(limits::CPIX_VALUE_BYTES));
        } else if self.path == ENCRYPTED {
            return Err("the answer's keys are encrypted, which nobody asked for".to_owned());
        }
        Ok(())
    }

    fn key_id(&self, start: &BytesStart<'_>) -> Result<KeyId, String> {
        let mut id = None;
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|_| "a ContentKey with bad attributes".to_owned())?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|_| "a ContentKey with a bad attribute".to_owned())?;
            match attribute.key.as_ref() {
                "kid" => {
                    id = Some(
                        value.parse::<KeyId>().map_err(|_| "a kid that is no UUID".to_owned())?,
                    );
                }
                "commonEncryptionScheme" if value != self.scheme => {
                    return Err(format!(
                        "a key of scheme {value:.10?}, expected \"{}\"",
                        self.scheme
                    ));
                }
                _ => {}
            }
        }
        id.ok_or_else(|| "a ContentKey without a kid".to_owned())
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        let text = text.trim();
        if self.path == PSSH || self.path == HLS {
            if self.text.len() + text.len() > limits::CPIX_SIGNAL_BYTES {
                return Err(self.of_system("is longer than any system needs"));
            }
            self.text.push_str(text);
            return Ok(());
        }
        if self.path != VALUE {
            return Ok(());
        }
        if self.value.len() + text.len() > limits::CPIX_VALUE_BYTES {
            return Err(self.of_key("is longer than a key"));
        }
        self.value.push_str(text);
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        if self.path == VALUE {
            let bytes = Zeroizing::new(
                BASE64.decode(self.value.as_bytes()).map_err(|_| self.of_key("is not base64"))?,
            );
            let bytes: Zeroizing<[u8; 16]> = Zeroizing::new(
                bytes.as_slice().try_into().map_err(|_| self.of_key("has not 16 bytes"))?,
            );
            self.add(ContentKey::new(*bytes))?;
        }
        if (self.path == PSSH || self.path == HLS) && !self.text.is_empty() {
            self.signal()?;
        }
        if self.path == KEY || self.path == SYSTEM {
            (self.id, self.system) = (None, None);
        }
        self.path.pop();
        Ok(())
    }

    fn add(&mut self, key: ContentKey) -> Result<(), String> {
        let id = self.id.expect("a value lies in a ContentKey, which has an id");
        if self.keys.iter().any(|known| known.id == id) {
            return Err(self.of_key("stands there twice"));
        }
        if self.keys.len() == limits::CPIX_KEYS {
            return Err(format!("more than {} keys", limits::CPIX_KEYS));
        }
        self.keys.push(TrackKey { id, key, told: Told::default() });
        Ok(())
    }

    /// What a system's element says, once it was checked. Of what is said for HLS only FairPlay's URI
    /// is of use: the others' lines hold their pssh.
    fn signal(&mut self) -> Result<(), String> {
        let (Some(id), Some(system)) = (self.id, self.system) else { return Ok(()) };
        let said = if self.path == PSSH && system != drm::FAIRPLAY {
            let pssh = BASE64.decode(&self.text).map_err(|_| self.of_system("is not base64"))?;
            drm::pssh_data(system, &pssh).map_err(|error| self.of_system(&error.to_string()))?;
            Said::Pssh(system, pssh)
        } else if self.path == HLS && system == drm::FAIRPLAY && self.is_media {
            let line = BASE64.decode(&self.text).map_err(|_| self.of_system("is not base64"))?;
            let uri = key_uri(&line).ok_or_else(|| self.of_system("names no URI of a key"))?;
            Said::FairPlay(uri)
        } else {
            return Ok(());
        };
        if self.said.len() == limits::CPIX_KEYS * 3 {
            return Err("more is said of keys than there are systems".to_owned());
        }
        self.said.push((id, said));
        Ok(())
    }

    fn of_system(&self, what: &str) -> String {
        let id = self.id.map(|id| id.to_string()).unwrap_or_default();
        let element = self.path.last().map(String::as_str).unwrap_or_default();
        format!("{element:.20} of key {id} {what}")
    }

    fn of_key(&self, what: &str) -> String {
        let id = self.id.map(|id| id.to_string()).unwrap_or_default();
        format!("the value of key {id} {what}")
    }
}

/// An attribute's value, where the element has it.
fn attribute(start: &BytesStart<'_>, name: &str) -> Result<Option<String>, String> {
    let bad = || "an element with bad attributes".to_owned();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|_| bad())?;
        if attribute.key.as_ref() == name {
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            return value.map(|value| Some(value.into_owned())).map_err(|_| bad());
        }
    }
    Ok(None)
}

/// The key and the system of a DRMSystem; none of a system that was not asked for.
fn drm_system(start: &BytesStart<'_>) -> Result<(Option<KeyId>, Option<SystemId>), String> {
    let id = |name: &str| -> Result<Option<KeyId>, String> {
        let text = attribute(start, name)?;
        text.map(|text| text.parse().map_err(|_| format!("a {name} that is no UUID"))).transpose()
    };
    let known = [drm::WIDEVINE, drm::PLAYREADY, drm::FAIRPLAY];
    let of = id("systemId")?;
    let system = of.and_then(|of| known.into_iter().find(|known| known.to_bytes() == of.0));
    Ok((id("kid")?, system))
}

/// The URI of an EXT-X-KEY line, or the address alone.
fn key_uri(line: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(line).ok()?.trim();
    let uri = match line.split_once("URI=\"") {
        Some((_, rest)) => rest.split_once('"')?.0,
        None => line,
    };
    let is_plain = uri.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
    let has_scheme = uri.split_once("://").is_some_and(|(scheme, rest)| {
        !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric()) && !rest.is_empty()
    });
    let fits = uri.len() <= limits::CPIX_URI_BYTES;
    (is_plain && has_scheme && fits).then(|| uri.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key as SPEKE's documentation shows it.
    const KEY: &str = "<cpix:ContentKey explicitIV=\"OFj2IjCsPJFfMAxmQxLGPw==\" \
        kid=\"98ee5596-cd3e-a20d-163a-e382420c6eff\" commonEncryptionScheme=\"cbcs\"><cpix:Data>\
        <pskc:Secret><pskc:PlainValue>5dGAgwGuUYu4dHeHtNlxJw==</pskc:PlainValue></pskc:Secret>\
        </cpix:Data></cpix:ContentKey>";

    fn document(keys: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><cpix:CPIX contentId=\"abc123\" version=\"2.3\" \
             xmlns:cpix=\"urn:dashif:org:cpix\" xmlns:pskc=\"urn:ietf:params:xml:ns:keyprov:pskc\">\
             <cpix:ContentKeyList>{keys}</cpix:ContentKeyList><cpix:DRMSystemList/></cpix:CPIX>"
        )
    }

    #[test]
    fn example_of_speke_v2_standard_payload_components() {
        let key = [0xe5d1_8083_01ae_518b_u64, 0xb874_7787_b4d9_7127].map(u64::to_be_bytes).concat();
        let spaced = KEY.replace("5dGA", "\n  5dGA").replace("xJw==", "xJw==\n");
        let cdata = KEY.replace("5dGAgwGuUYu4dHeHtNlxJw==", "<![CDATA[5dGAgwGuUYu4dHeHtNlxJw==]]>");
        let no_prefix = document(KEY).replace("cpix:", "").replace("pskc:", "");
        let bom = format!("\u{feff}{}", document(KEY));
        for text in [document(KEY), document(&spaced), document(&cdata), no_prefix, bom] {
            let keys = parse(text.as_bytes(), "cbcs").unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(keys.len(), 1);
            assert_eq!(keys[0].id.to_string(), "98ee5596-cd3e-a20d-163a-e382420c6eff");
            assert_eq!(keys[0].key.expose()[..], key);
        }
    }

    /// A document of one key with this DRMSystem.
    fn saying(system: SystemId, inside: &str) -> String {
        let kid = "98ee5596-cd3e-a20d-163a-e382420c6eff";
        document(KEY).replace(
            "<cpix:DRMSystemList/>",
            &format!(
                "<cpix:DRMSystemList><cpix:DRMSystem kid=\"{kid}\" systemId=\"{system}\">{inside}\
                 </cpix:DRMSystem></cpix:DRMSystemList>"
            ),
        )
    }

    fn told(text: &str) -> Result<Told, String> {
        Ok(parse(text.as_bytes(), "cbcs")?.remove(0).told)
    }

    #[test]
    fn what_players_are_told_is_taken_where_it_is_right() {
        let pssh = drm::pssh(drm::WIDEVINE, None, b"made elsewhere");
        let element = format!("<cpix:PSSH>{}</cpix:PSSH>", BASE64.encode(&pssh));
        let said = told(&saying(drm::WIDEVINE, &element)).unwrap();
        assert_eq!(said.pssh, [(drm::WIDEVINE, pssh)]);
        let line = |text: &str, playlist: &str| {
            let text = BASE64.encode(text);
            let open = "<cpix:HLSSignalingData playlist";
            format!("{open}=\"{playlist}\">{text}</cpix:HLSSignalingData>")
        };
        let tag = "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://asset/1\",KEYFORMAT=\"x\"";
        for text in [tag, "skd://asset/1\n"] {
            let said = told(&saying(drm::FAIRPLAY, &line(text, "media"))).unwrap();
            assert_eq!(said.fairplay_uri.as_deref(), Some("skd://asset/1"), "{text}");
            let said = told(&saying(drm::FAIRPLAY, &line(text, "master"))).unwrap();
            assert_eq!(said, Told::default(), "of another playlist");
        }
        // Nothing said, said of a system that nobody asked for, or of what a pssh says already.
        for inside in ["", "<cpix:PSSH/>", &line(tag, "media")] {
            assert_eq!(told(&saying(drm::WIDEVINE, inside)).unwrap(), Told::default(), "{inside}");
        }
        assert_eq!(told(&saying(drm::COMMON, &element)).unwrap(), Told::default());
        for (system, inside, wanted) in [
            (drm::PLAYREADY, element.clone(), "pssh: is of another system"),
            (drm::WIDEVINE, "<cpix:PSSH>****</cpix:PSSH>".to_owned(), "is not base64"),
            (drm::WIDEVINE, "<cpix:PSSH>AAAA</cpix:PSSH>".to_owned(), "is not one box"),
            (
                drm::WIDEVINE,
                format!("<cpix:PSSH>{}</cpix:PSSH>", "A".repeat(40_000)),
                "is longer than any system needs",
            ),
            (drm::FAIRPLAY, line("#EXT-X-KEY:METHOD=NONE", "media"), "names no URI"),
            (drm::FAIRPLAY, line("skd://a b", "media"), "names no URI"),
            (drm::FAIRPLAY, line("URI=\"skd://a\nb\"", "media"), "names no URI"),
        ] {
            let why = told(&saying(system, &inside)).unwrap_err();
            assert!(why.contains(wanted) && why.contains("98ee5596-"), "{inside}: {why}");
        }
    }

    #[test]
    fn wrong_answers_are_named_without_their_keys() {
        let with = |from: &str, to: &str| document(&KEY.replace(from, to));
        let deep = "<a>".repeat(limits::CPIX_DEPTH + 1);
        let many: String =
            (0..=limits::CPIX_KEYS).map(|n| KEY.replace("98ee5596", &format!("{n:08x}"))).collect();
        let table = [
            ("", "not a whole CPIX document"),
            ("<html><body>hello</body></html>", "not a whole CPIX document"),
            ("{\"key\": \"5dGAgwGuUYu4dHeHtNlxJw==\"}", "not a whole CPIX document"),
            (&document(KEY).replace("</cpix:CPIX>", ""), "not a whole CPIX document"),
            (&document(KEY)[..200], "not XML at byte"),
            (&document(KEY).replace("</cpix:Data>", "</x>"), "not XML at byte"),
            (&format!("<!DOCTYPE x>{}", document(KEY)), "a document type"),
            (&format!("{}<CPIX/>", document(KEY)), "something follows"),
            (&with("kid=", "id="), "a ContentKey without a kid"),
            (&with("98ee5596-", "98ee"), "a kid that is no UUID"),
            (&with("\"cbcs\"", "\"cenc\""), "a key of scheme \"cenc\", expected \"cbcs\""),
            (&with("PlainValue", "EncryptedValue"), "the answer's keys are encrypted"),
            (
                &with("Jw==", "*w=="),
                "the value of key 98ee5596-cd3e-a20d-163a-e382420c6eff is not base64",
            ),
            (
                &with("5dGA", "&amp;"),
                "the value of key 98ee5596-cd3e-a20d-163a-e382420c6eff is not base64",
            ),
            (
                &with("5dGA", ""),
                "the value of key 98ee5596-cd3e-a20d-163a-e382420c6eff has not 16 bytes",
            ),
            (
                &with("5dGA", &"5dGA".repeat(99)),
                "the value of key 98ee5596-cd3e-a20d-163a-e382420c6eff is longer",
            ),
            (
                &document(&KEY.repeat(2)),
                "the value of key 98ee5596-cd3e-a20d-163a-e382420c6eff stands there twice",
            ),
            (&document(&many), "more than 320 keys"),
            (&deep, "more than 16 elements"),
        ];
        for (text, wanted) in table {
            let Err(said) = parse(text.as_bytes(), "cbcs") else { panic!("{wanted}: {text}") };
            assert!(said.starts_with(wanted) && !said.contains("5dGA"), "{wanted}: {said}");
        }
        assert!(parse(b"\xff", "cbcs").is_err());
        assert_eq!(parse(document("").as_bytes(), "cbcs"), Ok(Vec::new()));
    }
}
