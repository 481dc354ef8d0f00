//! What a licence system is told of keys: pssh boxes (ISO/IEC 23001-7 8.1) and what stands in them.
//!
//! Nothing here holds a key: only which keys there are, by their ids.

use std::fmt;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::error::Error;
use crate::ids::KeyId;
use crate::limits;
use crate::protect::Scheme;
use crate::wire::BoxWriter;

/// SystemID of the common system: pssh version 1 with nothing but key ids (W3C, "cenc" initialization
/// data format).
pub const COMMON: SystemId = SystemId(0x1077_efec_c0b2_4d02_ace3_3c1e_52e2_fb4b);
/// SystemID of Widevine.
pub const WIDEVINE: SystemId = SystemId(0xedef_8ba9_79d6_4ace_a3c8_27dc_d51d_21ed);
/// SystemID of PlayReady.
pub const PLAYREADY: SystemId = SystemId(0x9a04_f079_9840_4286_ab92_e65b_e088_5f95);
/// What an MPD calls clear keys (DASH-IF IOP part 6, W3C Clear Key). No pssh has it.
pub const CLEARKEY: SystemId = SystemId(0xe271_9d58_a985_b3c9_781a_b030_af78_d30e);
/// SystemID of FairPlay, as CPIX and SPEKE call it.
pub const FAIRPLAY: SystemId = SystemId(0x94ce_86fb_07ff_4f43_adb8_93d2_fa96_8ca2);

/// A licence system, by its UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SystemId(pub u128);

impl SystemId {
    /// The bytes of the UUID.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

/// The UUID's text.
impl fmt::Display for SystemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&KeyId(self.to_bytes()), f)
    }
}

/// What a pssh box that somebody else made holds for its system. It is one whole box, and of that
/// system.
///
/// # Errors
/// Anything else.
pub fn pssh_data(system: SystemId, pssh: &[u8]) -> Result<&[u8], Error> {
    let wrong = |detail: &str| Error::invalid("pssh", detail.to_owned());
    if pssh.len() > limits::PSSH_BYTES {
        return Err(wrong("is longer than any system needs"));
    }
    let number = |at: usize| {
        let bytes = pssh.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        bytes.map(u32::from_be_bytes).and_then(|number| usize::try_from(number).ok())
    };
    let is_whole = number(0) == Some(pssh.len()) && pssh.get(4..8) == Some(b"pssh".as_slice());
    let version = pssh.get(8).copied().filter(|version| *version <= 1);
    let (true, Some(version)) = (is_whole, version) else {
        return Err(wrong("is not one box of version 0 or 1"));
    };
    if pssh.get(12..28) != Some(system.to_bytes().as_slice()) {
        return Err(wrong("is of another system"));
    }
    let ids_bytes = match version {
        0 => Some(0),
        _ => number(28).and_then(|count| count.checked_mul(16)?.checked_add(4)),
    };
    let at = ids_bytes.and_then(|len| len.checked_add(28)).filter(|at| *at < pssh.len());
    let data = at.and_then(|at| Some((pssh.get(at + 4..)?, number(at)?)));
    match data {
        Some((data, len)) if data.len() == len => Ok(data),
        _ => Err(wrong("holds less or more than it says")),
    }
}

/// A pssh box of version 0, or of version 1 where `key_ids` are named in the box itself.
pub fn pssh(system: SystemId, key_ids: Option<&[KeyId]>, data: &[u8]) -> Vec<u8> {
    let count = |n: usize| u32::try_from(n).expect("keys of a title are few");
    let mut w = BoxWriter::with_capacity(64 + data.len());
    w.full_box(b"pssh", u8::from(key_ids.is_some()), 0, |w| {
        w.slice(&system.to_bytes());
        if let Some(key_ids) = key_ids {
            w.u32(count(key_ids.len()));
            key_ids.iter().for_each(|id| w.slice(&id.0));
        }
        w.u32(count(data.len()));
        w.slice(data);
    });
    w.into_bytes()
}

/// Widevine's data: WidevinePsshData of its protobuf with key_ids (2), content_id (4) where there
/// is one, and protection_scheme (9), the scheme's four characters as a number.
pub fn widevine_data(key_ids: &[KeyId], content_id: &[u8], scheme: Scheme) -> Vec<u8> {
    const KEY_IDS: u8 = 2 << 3 | 2;
    const CONTENT_ID: u8 = 4 << 3 | 2;
    const PROTECTION_SCHEME: u8 = 9 << 3;
    let mut data = Vec::new();
    for id in key_ids {
        data.extend([KEY_IDS, 16]);
        data.extend(id.0);
    }
    if !content_id.is_empty() {
        data.push(CONTENT_ID);
        varint(&mut data, content_id.len() as u64);
        data.extend(content_id);
    }
    data.push(PROTECTION_SCHEME);
    varint(&mut data, u64::from(u32::from_be_bytes(scheme.fourcc())));
    data
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        to.push(u8::try_from(value & 0x7f).expect("7 bits") | 0x80);
        value >>= 7;
    }
    to.push(u8::try_from(value).expect("7 bits"));
}

/// A PlayReady object with one record, a WRMHEADER 4.3 (PlayReady Header Specification): it tells
/// a licence server of the keys, and where `la_url` is set, where that server is.
pub fn playready_object(key_ids: &[KeyId], la_url: Option<&str>, scheme: Scheme) -> Vec<u8> {
    /// A rights management header.
    const RECORD: u16 = 1;
    let text: Vec<u8> =
        wrmheader(key_ids, la_url, scheme).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let record_bytes = u16::try_from(text.len()).expect("addresses are bounded by configuration");
    let object_bytes = u32::from(record_bytes) + 10;
    let mut object = object_bytes.to_le_bytes().to_vec();
    object.extend(1u16.to_le_bytes());
    object.extend(RECORD.to_le_bytes());
    object.extend(record_bytes.to_le_bytes());
    object.extend(text);
    object
}

fn wrmheader(key_ids: &[KeyId], la_url: Option<&str>, scheme: Scheme) -> String {
    let algorithm = match scheme {
        Scheme::Cenc => "AESCTR",
        Scheme::Cbcs | Scheme::Aes128 => "AESCBC",
    };
    let mut text = String::from(
        "<WRMHEADER xmlns=\"http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader\" \
         version=\"4.3.0.0\"><DATA><PROTECTINFO><KIDS>",
    );
    for id in key_ids {
        let value = BASE64.encode(guid(*id));
        let _ = write!(text, "<KID ALGID=\"{algorithm}\" VALUE=\"{value}\"></KID>");
    }
    text.push_str("</KIDS></PROTECTINFO>");
    if let Some(url) = la_url {
        let _ = write!(text, "<LA_URL>{}</LA_URL>", quick_xml::escape::escape(url));
    }
    text.push_str("</DATA></WRMHEADER>");
    text
}

/// A key id as a GUID of Windows: its first three fields little-endian.
fn guid(KeyId(id): KeyId) -> [u8; 16] {
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    ORDER.map(|from| id[from])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_of_somebody_else_is_whole_and_of_its_system() {
        let ids = [KeyId([1; 16]), KeyId([2; 16])];
        for boxed in [pssh(WIDEVINE, None, b"data"), pssh(WIDEVINE, Some(&ids), b"data")] {
            assert_eq!(pssh_data(WIDEVINE, &boxed).unwrap(), b"data");
            assert!(pssh_data(PLAYREADY, &boxed).is_err());
            for end in 0..boxed.len() {
                assert!(pssh_data(WIDEVINE, &boxed[..end]).is_err(), "{end}");
            }
            assert!(pssh_data(WIDEVINE, &[&boxed[..], b"x"].concat()).is_err());
            let mut other = boxed.clone();
            other[8] = 2;
            assert!(pssh_data(WIDEVINE, &other).is_err(), "a version nobody knows");
        }
        let long = pssh(WIDEVINE, None, &vec![0; limits::PSSH_BYTES]);
        assert!(pssh_data(WIDEVINE, &long).is_err());
    }

    const A: KeyId = KeyId(*b"\x2e\x1d\x1d\x1d\x1d\x1d\x1d\x1d\x1d\x1d\x1d\x1d\x1d\x1d\x1d\x1d");
    const B: KeyId = KeyId([0x1d; 16]);

    /// What Shaka Packager 3.8 wrote for the same keys (`--protection_systems
    /// Widevine,PlayReady,CommonSystem --protection_scheme cbcs`).
    #[test]
    fn boxes_are_those_of_another_packager() {
        let common = "AAAARHBzc2gBAAAAEHfv7MCyTQKs4zweUuL7SwAAAAIuHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0d\
                      HR0dHR0dHQAAAAA=";
        assert_eq!(BASE64.encode(pssh(COMMON, Some(&[A, B]), b"")), common);
        let widevine = "AAAASnBzc2gAAAAA7e+LqXnWSs6jyCfc1R0h7QAAACoSEC4dHR0dHR0dHR0dHR0dHR0SEB0dHR0d\
                        HR0dHR0dHR0dHR1I88aJmwY=";
        let data = widevine_data(&[A, B], b"", Scheme::Cbcs);
        assert_eq!(BASE64.encode(pssh(WIDEVINE, None, &data)), widevine);
        let wrmheader_b = "<WRMHEADER xmlns=\"http://schemas.microsoft.com/DRM/2007/03/\
                           PlayReadyHeader\" version=\"4.3.0.0\"><DATA><PROTECTINFO><KIDS>\
                           <KID ALGID=\"AESCBC\" VALUE=\"HR0dHR0dHR0dHR0dHR0dHQ==\"></KID></KIDS>\
                           </PROTECTINFO></DATA></WRMHEADER>";
        assert_eq!(wrmheader(&[B], None, Scheme::Cbcs), wrmheader_b);
        let object = playready_object(&[B], None, Scheme::Cbcs);
        assert_eq!(object[..10], [0xbe, 1, 0, 0, 1, 0, 1, 0, 0xb4, 1]);
        assert_eq!(object.len(), 0x1be);
        let boxed = pssh(PLAYREADY, None, &object);
        assert_eq!(boxed[..4], [0, 0, 1, 0xde]);
    }

    #[test]
    fn fields_are_read_back() {
        let id: KeyId = "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap();
        assert_eq!(id.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!("00112233445566778899AABBCCDDEEFF".parse::<KeyId>().unwrap(), id);
        assert_eq!(guid(id)[..8], [0x33, 0x22, 0x11, 0, 0x55, 0x44, 0x77, 0x66]);
        for bad in
            ["", "0011", "00112233-4455-6677-8899-aabbccddeef", "+0112233445566778899aabbccddeeff"]
        {
            assert!(bad.parse::<KeyId>().is_err(), "{bad}");
        }
        assert_eq!(WIDEVINE.to_string(), "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed");
        let header = wrmheader(&[id], Some("https://l.example/?a=1&b=2"), Scheme::Cenc);
        assert!(header.contains("ALGID=\"AESCTR\" VALUE=\"MyIRAFVEd2aImaq7zN3u/w==\""), "{header}");
        assert!(header.contains("<LA_URL>https://l.example/?a=1&amp;b=2</LA_URL>"), "{header}");
        let data = widevine_data(&[], b"title", Scheme::Cenc);
        assert_eq!(data[..7], *b"\x22\x05title");
        // 'cenc' is 0x63656e63, in groups of seven bits from the lowest.
        assert_eq!(data[7..], [0x48, 0xe3, 0xdc, 0x95, 0x9b, 0x06]);
    }
}
