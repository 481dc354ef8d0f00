//! Descriptors of adaptation sets and representations (23009-1 5.8.4): colour, roles, channels.
//!
//! In the order of the schema: AudioChannelConfiguration, ContentProtection, EssentialProperty,
//! SupplementalProperty, then Accessibility and Role.

use quick_xml::events::BytesStart;

use super::{Out, empty};
use crate::colour::{Colour, VideoRange};
use crate::heads::Role;
use crate::title::Track;

/// One descriptor.
pub(super) fn write(w: &mut Out, element: &str, scheme: &str, value: &str) {
    let attributes = [("schemeIdUri", scheme), ("value", value)];
    empty(w, BytesStart::new(element).with_attributes(attributes));
}

/// Code points of PQ and HLG (23091-2). A player that cannot show them must not choose them while
/// there is SDR beside them; where there is none, it had better show them somehow.
pub(super) fn colour(w: &mut Out, track: &Track, has_sdr: bool) {
    let Some(Colour { primaries, transfer, matrix, .. }) = track.colour() else { return };
    if track.range() == VideoRange::Sdr {
        return;
    }
    let element = if has_sdr { "EssentialProperty" } else { "SupplementalProperty" };
    for (name, code) in [
        ("ColourPrimaries", primaries),
        ("MatrixCoefficients", matrix),
        ("TransferCharacteristics", transfer),
    ] {
        write(w, element, &format!("urn:mpeg:mpegB:cicp:{name}"), &code.to_string());
    }
}

/// Accessibility and Role (5.8.4.3, 5.8.4.2).
pub(super) fn role(w: &mut Out, role: Role) {
    if role == Role::Description {
        // TV-Anytime's AudioPurposeCS: for who cannot see.
        write(w, "Accessibility", "urn:tva:metadata:cs:AudioPurposeCS:2007", "1");
    }
    write(w, "Role", "urn:mpeg:dash:role:2011", role.as_str());
}

/// AudioChannelConfiguration, and of jointly coded objects what they are.
pub(super) fn channels(w: &mut Out, track: &Track, channels: u16) {
    let (scheme, value) = match track.family() {
        "ac-3" | "ec-3" => dolby(channels),
        family => cicp(family, channels),
    };
    write(w, "AudioChannelConfiguration", scheme, &value);
    if let Some(complexity) = track.joc() {
        // ETSI TS 103 420 annex D.
        let kind = "tag:dolby.com,2018:dash:EC3_ExtensionType:2018";
        let index = "tag:dolby.com,2018:dash:EC3_ExtensionComplexityIndex:2018";
        write(w, "SupplementalProperty", kind, "JOC");
        write(w, "SupplementalProperty", index, &complexity.to_string());
    }
}

/// Up to 5.1 a number of channels, which is what ChannelConfiguration's first six are for AAC; above
/// it the code point (23091-3 table 1). Opus in the order of Vorbis has quadraphonic and 7.1 of
/// other shapes.
fn cicp(family: &str, channels: u16) -> (&'static str, String) {
    const CHANNELS: &str = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";
    const CICP: &str = "urn:mpeg:mpegB:cicp:ChannelConfiguration";
    match (family, channels) {
        ("opus", 4) => (CICP, "9".to_owned()),
        (_, 7) => (CICP, "11".to_owned()),
        ("opus", 8) => (CICP, "12".to_owned()),
        (_, 8) => (CICP, "7".to_owned()),
        _ => (CHANNELS, channels.to_string()),
    }
}

/// ETSI TS 102 366 annex I.1.2: a bit for each place, from the highest L, C, R, Ls, Rs, Lc/Rc,
/// Lrs/Rrs, Cs; the lowest is LFE.
fn dolby(channels: u16) -> (&'static str, String) {
    let places = match channels {
        1 => 0x4000,
        2 => 0xa000,
        3 => 0xe000,
        4 => 0xb800,
        5 => 0xf800,
        6 => 0xf801,
        7 => 0xf901,
        _ => 0xfa01,
    };
    ("tag:dolby.com,2014:dash:audio_channel_configuration:2011", format!("{places:04X}"))
}
