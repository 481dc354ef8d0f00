//! HKDF-SHA256 (RFC 5869).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

const HASH_BYTES: usize = 32;

/// A pseudorandom key. Overwritten when dropped, and never shown.
pub(super) struct Prk(Zeroizing<[u8; HASH_BYTES]>);

impl Prk {
    /// HKDF-Extract (2.2).
    pub(super) fn extract(salt: &[u8], secret: &[u8]) -> Self {
        let mut mac = keyed(salt);
        mac.update(secret);
        Self(Zeroizing::new(mac.finalize().into_bytes().into()))
    }

    /// HKDF-Expand (2.3) of at most 255 hashes.
    pub(super) fn expand(&self, info: &[u8], out: &mut [u8]) {
        let mut last = Zeroizing::new([0; HASH_BYTES]);
        for (at, part) in (1u8..=255).zip(out.chunks_mut(HASH_BYTES)) {
            let mut mac = keyed(&self.0[..]);
            if at > 1 {
                mac.update(&last[..]);
            }
            mac.update(info);
            mac.update(&[at]);
            *last = mac.finalize().into_bytes().into();
            part.copy_from_slice(&last[..part.len()]);
        }
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len() / 2)
            .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
            .collect()
    }

    fn check(secret: &[u8], salt: &[u8], info: &[u8], prk: &str, okm: &str) {
        let made = Prk::extract(salt, secret);
        assert_eq!(made.0[..], hex(prk));
        let mut out = vec![0; okm.len() / 2];
        made.expand(info, &mut out);
        assert_eq!(out, hex(okm));
    }

    #[test]
    fn rfc_5869_a_1_basic_test_case_with_sha_256() {
        check(
            &[0x0b; 22],
            &hex("000102030405060708090a0b0c"),
            &hex("f0f1f2f3f4f5f6f7f8f9"),
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        );
    }

    #[test]
    fn rfc_5869_a_2_test_with_sha_256_and_longer_inputs_outputs() {
        let run = |first: u8| (0..80).map(|i| first + i).collect::<Vec<u8>>();
        check(
            &run(0x00),
            &run(0x60),
            &run(0xb0),
            "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c\
             59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71\
             cc30c58179ec3e87c14c01d5c1f3434f1d87",
        );
    }

    #[test]
    fn rfc_5869_a_3_test_with_sha_256_and_zero_length_salt_info() {
        check(
            &[0x0b; 22],
            b"",
            b"",
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        );
    }
}
