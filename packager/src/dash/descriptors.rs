//! Descriptors of adaptation sets and representations (23009-1 5.8.4): colour, roles, channels.
//!
//! In the order of the schema: AudioChannelConfiguration, ContentProtection, EssentialProperty,
//! SupplementalProperty, then Accessibility and Role.

use quick_xml::events::BytesStart;

use super::{Out, empty};
use crate::colour::{Colour, VideoRange};
use crate::heads::Role;
use crate::layout::ChannelLayout;
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
    if let Some((scheme, value)) = configuration(track.layout(), channels) {
        write(w, "AudioChannelConfiguration", scheme, &value);
    }
    if let Some(complexity) = track.joc() {
        // ETSI TS 103 420 annex D.
        let kind = "tag:dolby.com,2018:dash:EC3_ExtensionType:2018";
        let index = "tag:dolby.com,2018:dash:EC3_ExtensionComplexityIndex:2018";
        write(w, "SupplementalProperty", kind, "JOC");
        write(w, "SupplementalProperty", index, &complexity.to_string());
    }
}

/// The layout that was read. Up to 5.1 of AAC's layouts its number is that of channels, and players
/// know the older scheme; so does a track of which that number alone is known. More channels may be
/// anywhere, and nothing is said of them.
fn configuration(layout: Option<ChannelLayout>, channels: u16) -> Option<(&'static str, String)> {
    const CHANNELS: &str = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";
    const CICP: &str = "urn:mpeg:mpegB:cicp:ChannelConfiguration";
    const DOLBY: &str = "tag:dolby.com,2014:dash:audio_channel_configuration:2011";
    match layout {
        Some(ChannelLayout::Dolby(places)) => Some((DOLBY, format!("{places:04X}"))),
        Some(ChannelLayout::Cicp(code @ 1..=6)) => Some((CHANNELS, code.to_string())),
        Some(ChannelLayout::Cicp(code)) => Some((CICP, code.to_string())),
        None => (1..=6).contains(&channels).then(|| (CHANNELS, channels.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        for (layout, channels, wanted) in [
            (Some(ChannelLayout::Dolby(0xa001)), 3, Some(("tag:dolby.com,2014", "A001"))),
            (Some(ChannelLayout::Dolby(0xb800)), 4, Some(("tag:dolby.com,2014", "B800"))),
            (Some(ChannelLayout::Cicp(6)), 6, Some(("urn:mpeg:dash:23003:3", "6"))),
            (Some(ChannelLayout::Cicp(7)), 8, Some(("urn:mpeg:mpegB:cicp", "7"))),
            (Some(ChannelLayout::Cicp(12)), 8, Some(("urn:mpeg:mpegB:cicp", "12"))),
            (Some(ChannelLayout::Cicp(9)), 4, Some(("urn:mpeg:mpegB:cicp", "9"))),
            (None, 2, Some(("urn:mpeg:dash:23003:3", "2"))),
            (None, 8, None),
        ] {
            let got = configuration(layout, channels);
            assert_eq!(got.is_some(), wanted.is_some(), "{layout:?} {channels}");
            let (Some((scheme, value)), Some((of, wanted))) = (got, wanted) else { continue };
            assert!(scheme.starts_with(of) && value == wanted, "{layout:?}: {scheme} {value}");
        }
    }
}
