//! Keys that follow from a secret and from what they are for, so that every node has them and none
//! keeps them.
//!
//! ```text
//! key   first 16 bytes of HKDF-SHA256(secret = master, salt = none, info = parts)
//! parts "headwater/1" "key" domain scheme title version label period [session]
//! id    the same with "kid" in place of "key"
//! ```
//! Each part is its length in bytes as a big-endian u32, and the bytes: what is cut elsewhere is
//! other info. docs/keys.md says it with an example.

use async_trait::async_trait;
use headwater_config::{Name, SecretSource};
use headwater_packager::encrypt::ContentKey;
use headwater_packager::ids::{KeyId, TitleId};
use headwater_packager::signalling::{KeyUse, Told};
use zeroize::Zeroizing;

use super::hkdf::Prk;
use super::{KeyError, NotReady, Provider, TrackKey, Wanted};
use crate::access::key::secret_bytes;
use crate::access::secret;
use crate::limits;

/// What every derivation begins with.
const ORIGIN: &str = "headwater/1";

/// A secret that keys follow from.
pub struct Derived {
    prk: Prk,
}

impl Derived {
    /// Reads the secret.
    pub fn open(name: &Name, source: &SecretSource) -> Result<Self, NotReady> {
        let not_ready = |detail: &str| NotReady {
            key: format!("keys.{name}.master"),
            detail: format!("{source}: {detail}"),
        };
        let text = secret::read(source).map_err(|error| not_ready(&error.detail))?;
        let bytes = secret_bytes(&text).filter(|bytes| !bytes.is_empty()).ok_or_else(|| {
            not_ready("expected hexadecimal digits; make some with `openssl rand -hex 32`")
        })?;
        if bytes.len() < limits::MASTER_BYTES {
            let (got, least) = (bytes.len(), limits::MASTER_BYTES);
            return Err(not_ready(&format!(
                "{got} bytes, expected at least {least}; make a secret with `openssl rand -hex 32`"
            )));
        }
        Ok(Self::new(&bytes))
    }

    /// Keys that follow from these bytes.
    pub fn new(master: &[u8]) -> Self {
        Self { prk: Prk::extract(b"", master) }
    }

    fn key(&self, wanted: &Wanted<'_>, of: KeyUse) -> TrackKey {
        let mut key = Zeroizing::new([0; 16]);
        self.prk.expand(&info("key", wanted, of), &mut key[..]);
        let mut id = [0; 16];
        self.prk.expand(&info("kid", wanted, of), &mut id);
        TrackKey { id: KeyId(id), key: ContentKey::new(*key), told: Told::default() }
    }
}

#[async_trait]
impl Provider for Derived {
    async fn keys(&self, wanted: &Wanted<'_>, uses: &[KeyUse]) -> Result<Vec<TrackKey>, KeyError> {
        Ok(uses.iter().map(|of| self.key(wanted, *of)).collect())
    }

    /// Another secret, or another domain, makes other keys of every title.
    fn identity(&self, domain: &str, _title: &TitleId) -> [u8; 16] {
        let mut identity = [0; 16];
        self.prk.expand(&parts(&[ORIGIN, "identity", domain]), &mut identity);
        identity
    }

    fn has_one_identity(&self) -> bool {
        true
    }
}

/// What a derivation is for.
fn info(what: &str, wanted: &Wanted<'_>, of: KeyUse) -> Vec<u8> {
    // Taken apart, so that a new thing that keys are bound to does not compile until it is decided.
    let Wanted { domain, scheme, systems: _, title, version, session } = *wanted;
    let KeyUse { period, label } = of;
    let (version, period) = (version.to_string(), period.to_string());
    let mut all =
        vec![ORIGIN, what, domain, scheme.as_str(), title.as_str(), &version, label.as_str()];
    all.push(&period);
    all.extend(session);
    parts(&all)
}

fn parts(parts: &[&str]) -> Vec<u8> {
    let mut info = Vec::new();
    for part in parts {
        let len_bytes = u32::try_from(part.len()).expect("names and ids are short");
        info.extend(len_bytes.to_be_bytes());
        info.extend(part.as_bytes());
    }
    info
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwater_config::Scheme;
    use headwater_packager::ids::VersionId;
    use headwater_packager::label::Label;
    use proptest::prelude::*;

    const SD: KeyUse = KeyUse { period: 0, label: Label::Sd };
    const MASTER: &[u8] = b"a master of thirty-two bytes....";

    fn wanted(title: &TitleId) -> Wanted<'_> {
        Wanted {
            domain: "vip",
            scheme: Scheme::Cbcs,
            systems: &[],
            title,
            version: VersionId::from_u128(0x0193_9c2e_7f00_7abc_8def_0123_4567_89ab),
            session: None,
        }
    }

    /// The example of docs/keys.md. Another result makes all that was ever handed out worthless.
    #[test]
    fn the_derivation_is_pinned() {
        let title = "film".parse().unwrap();
        let made = Derived::new(MASTER).key(&wanted(&title), SD);
        let key: String = made.key.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(made.id.to_string(), "71995e69-1116-0f1d-9a6c-3e7c5ad9c4e8");
        assert_eq!(key, "e0af352d297cc7bf8a6a9f35eeec9539");
        let info = info("key", &wanted(&title), SD);
        assert_eq!(
            String::from_utf8(info).unwrap(),
            "\0\0\0\u{b}headwater/1\0\0\0\u{3}key\0\0\0\u{3}vip\0\0\0\u{4}cbcs\0\0\0\u{4}film\
             \0\0\0$01939c2e-7f00-7abc-8def-0123456789ab\0\0\0\u{2}SD\0\0\0\u{1}0"
        );
    }

    type Tuple = (String, bool, String, u128, usize, u32, Option<String>);

    fn any_tuple() -> impl Strategy<Value = Tuple> {
        // Few letters and values, so that two tuples are often nearly alike.
        (
            "[a-]{1,3}",
            any::<bool>(),
            "[a-]{1,3}",
            0..3u128,
            0..5usize,
            0..12u32,
            prop::option::of("[0a-]{0,3}"),
        )
    }

    fn with<T>(tuple: &Tuple, f: impl Fn(&Wanted<'_>, KeyUse) -> T) -> T {
        let (domain, is_cenc, title, version, label, period, session) = tuple;
        let title = title.parse().unwrap();
        let wanted = Wanted {
            domain,
            scheme: if *is_cenc { Scheme::Cenc } else { Scheme::Cbcs },
            systems: &[],
            title: &title,
            version: VersionId::from_u128(*version),
            session: session.as_deref(),
        };
        f(&wanted, KeyUse { period: *period, label: Label::ALL[*label] })
    }

    proptest! {
        /// No two things share a key or an id.
        #[test]
        fn distinct_things_have_distinct_keys(a in any_tuple(), b in any_tuple()) {
            let derived = Derived::new(MASTER);
            let (one, two) = (with(&a, |w, l| info("key", w, l)), with(&b, |w, l| info("key", w, l)));
            prop_assert_eq!(a == b, one == two);
            let (one, two) = (with(&a, |w, l| derived.key(w, l)), with(&b, |w, l| derived.key(w, l)));
            prop_assert_eq!(a == b, one.key == two.key);
            prop_assert_eq!(a == b, one.id == two.id);
            prop_assert_ne!(&one.id.0, one.key.expose());
        }

        /// Where one part ends and the next begins is part of what is derived from.
        #[test]
        fn parts_cut_elsewhere_are_other_parts(
            a in prop::collection::vec("[a\0\u{1}]{0,3}", 0..5),
            b in prop::collection::vec("[a\0\u{1}]{0,3}", 0..5),
        ) {
            let of = |all: &[String]| parts(&all.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(a == b, of(&a) == of(&b));
        }
    }

    #[test]
    fn the_length_before_a_part_cannot_be_feigned() {
        assert_ne!(parts(&["ab", "c"]), parts(&["a", "bc"]));
        assert_ne!(parts(&["a", ""]), parts(&["a"]));
        assert_ne!(parts(&["a\0\0\0\u{1}b"]), parts(&["a", "b"]));
    }

    #[test]
    fn the_identity_follows_from_master_and_domain_alone() {
        let (film, other) = ("film".parse().unwrap(), "other".parse().unwrap());
        let derived = Derived::new(MASTER);
        let identity = derived.identity("vip", &film);
        assert_eq!(identity, derived.identity("vip", &other));
        assert_ne!(identity, derived.identity("vi", &film));
        assert_ne!(
            identity,
            Derived::new(b"another master of thirty-two....").identity("vip", &film)
        );
    }

    #[test]
    fn a_master_is_read_and_never_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master");
        let name: Name = "main".parse().unwrap();
        let open = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Derived::open(&name, &SecretSource::File(path.clone()))
        };
        assert!(open(&"5a".repeat(16)).is_ok());
        for (text, said) in [
            ("", "hexadecimal"),
            ("feedfacefeedfacefeedfacefeedfac", "hexadecimal"),
            ("feedface-not-hex-feedfacefeedface", "hexadecimal"),
            ("feedfacefeedfacefeedfacefeedfa", "15 bytes, expected at least 16"),
        ] {
            let Err(error) = open(text) else { panic!("{text}") };
            let error = error.to_string();
            assert!(error.starts_with("`keys.main.master`: file:/"), "{error}");
            assert!(error.contains(said) && !error.contains("feedface"), "{error}");
        }
    }
}
