//! The CDN's secret: a header field that only the CDN's requests carry.
//!
//! Digests are compared and kept, so no length and no content shows in the time that a comparison
//! takes, and no secret stays in memory. All are looked at, whichever fits.

use std::fmt;

use headwater_config::{FieldName, SecretSource};
use http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::{Refusal, SecretError, secret};
use crate::limits;

type Sum = Zeroizing<[u8; 32]>;

/// What opens a profile that a CDN enforces.
pub struct Cdn {
    field: HeaderName,
    /// SHA-256 of each secret.
    sums: Vec<Sum>,
}

impl Cdn {
    /// Reads the secrets.
    pub fn open(field: &FieldName, sources: &[SecretSource]) -> Result<Self, SecretError> {
        let sums = sources.iter().map(|source| {
            let secret = secret::read(source)?;
            check(&secret).map_err(|detail| SecretError { source: source.clone(), detail })?;
            Ok(sum(&secret))
        });
        let sums = sums.collect::<Result<_, _>>()?;
        let field = HeaderName::from_bytes(field.as_str().as_bytes());
        Ok(Self { field: field.expect("a field's name was checked"), sums })
    }

    /// Whether a request comes from the CDN.
    pub fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut values = headers.get_all(&self.field).iter();
        let shown = values.next().ok_or(Refusal::CdnSecretMissing)?;
        if values.next().is_some() {
            return Err(Refusal::CdnSecretRepeated);
        }
        let shown = sum(shown.as_bytes());
        let fits = |known: &Sum| known.as_slice().ct_eq(shown.as_slice());
        let opened = self.sums.iter().fold(Choice::from(0), |any, known| any | fits(known));
        if bool::from(opened) { Ok(()) } else { Err(Refusal::CdnSecretWrong) }
    }
}

impl fmt::Debug for Cdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cdn({}: {} secrets)", self.field, self.sums.len())
    }
}

fn sum(bytes: &[u8]) -> Sum {
    Zeroizing::new(Sha256::digest(bytes).into())
}

/// Long enough not to be guessed, and what a header field can carry.
fn check(secret: &[u8]) -> Result<(), String> {
    let (low, high) = (limits::CDN_SECRET_BYTES.start(), limits::CDN_SECRET_BYTES.end());
    let len = secret.len();
    if !limits::CDN_SECRET_BYTES.contains(&len) || !secret.iter().all(u8::is_ascii_graphic) {
        return Err(format!(
            "expected {low} to {high} visible ASCII characters, got {len} bytes; make one with `openssl rand -hex 32`"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use std::io::Write;

    const OLD: &str = "0123456789abcdef-old";
    const NEW: &str = "0123456789abcdef-new";

    fn file(content: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        file
    }

    fn cdn(secrets: &[&tempfile::NamedTempFile]) -> Result<Cdn, SecretError> {
        let source = |file: &&tempfile::NamedTempFile| SecretSource::File(file.path().to_owned());
        let sources: Vec<_> = secrets.iter().map(source).collect();
        Cdn::open(&FieldName::default(), &sources)
    }

    #[test]
    fn who_is_the_cdn() {
        let (old, new) = (file(&format!("{OLD}\n")), file(NEW));
        let both = cdn(&[&old, &new]).unwrap();
        let one = cdn(&[&new]).unwrap();
        use Refusal::{CdnSecretMissing, CdnSecretRepeated, CdnSecretWrong};
        let longer = format!("{NEW}x");
        type Outcome = Result<(), Refusal>;
        // name, values of the field, with both secrets, with the new one alone
        let table: &[(&str, &[&str], Outcome, Outcome)] = &[
            ("none", &[], Err(CdnSecretMissing), Err(CdnSecretMissing)),
            ("old", &[OLD], Ok(()), Err(CdnSecretWrong)),
            ("new", &[NEW], Ok(()), Ok(())),
            ("empty", &[""], Err(CdnSecretWrong), Err(CdnSecretWrong)),
            ("begins alike", &[&NEW[..19]], Err(CdnSecretWrong), Err(CdnSecretWrong)),
            ("goes on", &[&longer], Err(CdnSecretWrong), Err(CdnSecretWrong)),
            ("another case", &["0123456789ABCDEF-NEW"], Err(CdnSecretWrong), Err(CdnSecretWrong)),
            (
                "a viewer's beside it",
                &["guess", NEW],
                Err(CdnSecretRepeated),
                Err(CdnSecretRepeated),
            ),
            (
                "both in one",
                &["0123456789abcdef-old, 0123456789abcdef-new"],
                Err(CdnSecretWrong),
                Err(CdnSecretWrong),
            ),
        ];
        for (name, values, with_both, with_one) in table {
            let mut headers = HeaderMap::new();
            for value in *values {
                headers.append("x-headwater-cdn", HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(both.admit(&headers), *with_both, "{name}");
            assert_eq!(one.admit(&headers), *with_one, "{name}");
        }
        let mut elsewhere = HeaderMap::new();
        elsewhere.insert("x-other", HeaderValue::from_static(NEW));
        assert_eq!(one.admit(&elsewhere), Err(CdnSecretMissing));
    }

    #[test]
    fn secrets_that_are_none_are_refused_and_never_shown() {
        let long = "k".repeat(513);
        for bad in ["", "short-secret", "with a space in it", "umlaut-\u{e4}-umlaut-16", &long] {
            let error = cdn(&[&file(bad)]).expect_err(bad);
            assert!(bad.is_empty() || !error.to_string().contains(bad), "{error}");
            assert!(error.detail.starts_with("expected 16 to 512 visible ASCII"), "{error}");
        }
        let endless = cdn(&[&file(&"k".repeat(1 << 20))]).unwrap_err();
        assert!(endless.detail.starts_with("larger than"), "{endless}");
        let unset = SecretSource::Variable("NO_SUCH_VARIABLE_HERE".to_owned());
        let error = Cdn::open(&FieldName::default(), &[unset]).unwrap_err();
        assert_eq!(error.to_string(), "env:NO_SUCH_VARIABLE_HERE: this variable is not set");
        let shown = format!("{:?}", cdn(&[&file(NEW)]).unwrap());
        assert_eq!(shown, "Cdn(x-headwater-cdn: 1 secrets)");
    }
}
