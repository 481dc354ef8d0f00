//! W3C Clear Key's messages (Encrypted Media Extensions 9.1.3 and 9.1.4): which keys a player wants,
//! and those that it gets.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use headwater_packager::encrypt::ContentKey;
use headwater_packager::ids::KeyId;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::limits;

/// Bytes of a licence around its keys, and at most of a key in it.
const LICENCE_BYTES: usize = 64;
const KEY_BYTES: usize = 96;

/// The ids of the wanted keys, from a licence request's body. Members that are not known are left
/// alone (9.1.3).
pub fn wanted(body: &[u8]) -> Result<Vec<KeyId>, Failure> {
    #[derive(Deserialize)]
    struct Message {
        kids: Vec<String>,
    }
    let message: Message = serde_json::from_slice(body)
        .map_err(|_| Failure::MalformedLicenceRequest("no JSON object with `kids`"))?;
    if !(1..=limits::LICENCE_KEYS).contains(&message.kids.len()) {
        return Err(Failure::MalformedLicenceRequest("no key, or too many"));
    }
    let id = |text: &String| {
        let bytes = BASE64URL.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(KeyId).ok_or(Failure::MalformedLicenceRequest("a `kid` is not 16 bytes"))
    };
    message.kids.iter().map(id).collect()
}

/// The licence: a JSON Web Key Set of symmetric keys. No text of a key is left behind: what holds one
/// has room for all of it at once, and is wiped.
pub fn licence(keys: &[(KeyId, &ContentKey)]) -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    struct Licence<'a> {
        keys: Vec<Key<'a>>,
        #[serde(rename = "type")]
        session: &'static str,
    }
    #[derive(Serialize)]
    struct Key<'a> {
        kty: &'static str,
        kid: String,
        k: &'a str,
    }
    let texts = keys.iter().map(|(_, key)| Zeroizing::new(BASE64URL.encode(key.expose())));
    let texts: Vec<_> = texts.collect();
    let of = keys.iter().zip(&texts);
    let of = of.map(|((id, _), text)| Key { kty: "oct", kid: BASE64URL.encode(id.0), k: text });
    let licence = Licence { keys: of.collect(), session: "temporary" };
    let mut to = Zeroizing::new(Vec::with_capacity(LICENCE_BYTES + keys.len() * KEY_BYTES));
    serde_json::to_writer(&mut *to, &licence).expect("text in JSON");
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of Encrypted Media Extensions 9.1.3 and 9.1.4.
    #[test]
    fn w3c_examples() {
        let asked = br#"{"kids":["LwVHf8JLtPrv2GUXFW2v_A"],"type":"temporary"}"#;
        let ids = wanted(asked).unwrap();
        assert_eq!(ids.len(), 1);
        let key =
            ContentKey::new(*b"\x91\x32\xd0\xef\x16\x10\xf6\xa1\xbf\xaa\xb1\x1a\x9e\x4d\x5d\xa5");
        let told = licence(&[(ids[0], &key)]);
        assert_eq!(
            std::str::from_utf8(&told).unwrap(),
            r#"{"keys":[{"kty":"oct","kid":"LwVHf8JLtPrv2GUXFW2v_A","k":"kTLQ7xYQ9qG_qrEank1dpQ"}],"type":"temporary"}"#
        );
    }

    /// A text that grows leaves copies behind.
    #[test]
    fn a_licence_never_grows() {
        let key = ContentKey::new([0xff; 16]);
        for count in [1, 2, limits::LICENCE_KEYS] {
            let told = licence(&vec![(KeyId([0xff; 16]), &key); count]);
            assert!(told.capacity() == LICENCE_BYTES + count * KEY_BYTES, "{}", told.capacity());
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let many = format!(r#"{{"kids":[{}]}}"#, vec![r#""LwVHf8JLtPrv2GUXFW2v_A""#; 65].join(","));
        for body in [
            "",
            "{}",
            "[]",
            r#"{"kids":[]}"#,
            r#"{"kids":[1]}"#,
            r#"{"kids":"LwVHf8JLtPrv2GUXFW2v_A"}"#,
            r#"{"kids":["LwVHf8JLtPrv2GUXFW2v"]}"#,
            r#"{"kids":["LwVHf8JLtPrv2GUXFW2v/A"]}"#,
            many.as_str(),
        ] {
            let refused = wanted(body.as_bytes());
            assert!(matches!(refused, Err(Failure::MalformedLicenceRequest(_))), "{body}");
        }
    }
}
