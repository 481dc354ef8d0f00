//! Content codings (RFC 9110 8.4, 12.5.3): gzip for texts, or none.
//!
//! A coded body is another representation with a tag of its own, made from its own bytes: two
//! nodes whose zlib differs give different tags for different bytes, never one tag for both.

use std::io::Write;

use flate2::{Compression, GzBuilder};

use crate::{fields, limits};

/// What gzip is told: two thirds of what is to be won for a third of the time of level 9 on
/// playlists.
const LEVEL: u32 = 6;
/// Thousandths of a weight that was not written.
const FULL: u16 = 1000;

/// Whether gzip is what the client wants, by the lines of its Accept-Encoding: it is acceptable,
/// and not less so than the bytes as they are. A client that wants neither gets them as they are.
pub fn wants_gzip<'a>(lines: impl Iterator<Item = &'a str>) -> bool {
    let (mut gzip, mut identity, mut others) = (None, None, None);
    for member in lines.flat_map(fields::members).take(limits::CODINGS) {
        let mut parts = fields::parts(member);
        let coding = parts.next().unwrap_or_default();
        let weight = parts.find_map(weight_of).unwrap_or(Some(FULL));
        // What cannot be read is not there.
        let Some(weight) = weight else { continue };
        match () {
            () if coding.eq_ignore_ascii_case("gzip") => gzip = Some(weight),
            () if coding.eq_ignore_ascii_case("x-gzip") => gzip = gzip.or(Some(weight)),
            () if coding.eq_ignore_ascii_case("identity") => identity = Some(weight),
            () if coding == "*" => others = Some(weight),
            () => {}
        }
    }
    let gzip = gzip.or(others).unwrap_or(0);
    // Unless it is named, "as they are" is acceptable, but no more than that.
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

/// The weight that a parameter says, if it is one; `Some(None)` for one that says nothing.
fn weight_of(parameter: &str) -> Option<Option<u16>> {
    let (name, value) = parameter.split_once('=')?;
    name.trim_end().eq_ignore_ascii_case("q").then(|| fields::weight(value.trim_start()))
}

/// The bytes as gzip, if that is worth anything: the same for the same bytes, with no time and no
/// name in it. Takes a millisecond for a playlist of two hours.
pub fn gzipped(parts: &[bytes::Bytes]) -> Option<Vec<u8>> {
    let len: usize = parts.iter().map(bytes::Bytes::len).sum();
    if len < limits::CODED_BYTES {
        return None;
    }
    let mut gzip = GzBuilder::new().write(Vec::with_capacity(len / 4), Compression::new(LEVEL));
    for part in parts {
        gzip.write_all(part).expect("writing to memory does not fail");
    }
    let coded = gzip.finish().expect("writing to memory does not fail");
    (coded.len() < len).then_some(coded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;
    use std::io::Read;

    #[test]
    fn who_wants_gzip() {
        let many = "br,".repeat(limits::CODINGS) + "gzip";
        let cases: &[(&[&str], bool)] = &[
            (&[], false),
            (&[""], false),
            (&["gzip"], true),
            (&["GZip"], true),
            (&["x-gzip"], true),
            (&["gzip, deflate, br, zstd"], true),
            (&["br", "gzip"], true),
            (&["br"], false),
            (&["gzip;q=0"], false),
            (&["gzip;q=0.000"], false),
            (&["gzip;q=0.001"], true),
            (&["gzip ; Q=0.5"], true),
            (&["gzip;q=0, x-gzip"], false),
            (&["gzip;q=2"], false),
            (&["gzip;q="], false),
            (&["gzip;level=9"], true),
            (&["identity"], false),
            (&["identity;q=0.5, gzip;q=0.4"], false),
            (&["identity;q=0.5, gzip;q=0.5"], true),
            (&["identity;q=0"], false),
            (&["*"], true),
            (&["*;q=0"], false),
            (&["*;q=0.1, identity;q=0.2"], false),
            (&["gzip;q=0, *"], false),
            (&["*;q=0, gzip"], true),
            (&["compress, gzip;q=1.0, *;q=0.5"], true),
            (&["gzip-not"], false),
            (&[many.as_str()], false),
        ];
        for (lines, wanted) in cases {
            assert_eq!(wants_gzip(lines.iter().copied()), *wanted, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_coded_reads_back_and_is_the_same_each_time(
            text in "[ -~]{0,40}", times in 0..200usize,
        ) {
            let whole = text.repeat(times);
            let parts = [Bytes::from(whole.clone().into_bytes())];
            if let Some(coded) = gzipped(&parts) {
                prop_assert!(coded.len() < whole.len());
                prop_assert_eq!(&coded[4..8], &[0; 4], "no time in it");
                let mut back = String::new();
                flate2::read::GzDecoder::new(&coded[..]).read_to_string(&mut back).unwrap();
                prop_assert_eq!(back, whole);
                prop_assert_eq!(gzipped(&parts), Some(coded));
            }
        }
    }
}
