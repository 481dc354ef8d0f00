//! base64url without padding (RFC 4648 5), in its one spelling: a text that decodes is the text
//! that its bytes encode to. Anything else would be a second token with the same signature.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// No padding, and no bits beyond the last byte (RFC 4648 3.5).
const CANONICAL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(false),
);

/// The bytes of a text, if it is their spelling.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    CANONICAL.decode(text).ok()
}

/// The text of bytes.
pub fn encode(bytes: &[u8]) -> String {
    CANONICAL.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn second_spellings_are_none() {
        assert_eq!(decode(b"_-8"), Some(vec![0xff, 0xef]));
        for wrong in ["_-8=", "_-9", "/+8", "_-8 ", " _-8", "_-8\n", "_", "_-\u{e4}", "_%2d8"] {
            assert_eq!(decode(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn one_text_for_the_same_bytes(text in "[A-Za-z0-9_=+/-]{0,12}") {
            if let Some(bytes) = decode(text.as_bytes()) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
