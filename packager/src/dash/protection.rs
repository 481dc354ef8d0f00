//! ContentProtection: a track's key id, and how each system gets at the key (23009-1 5.8.4.1,
//! ISO/IEC 23001-7 11.2, DASH-IF IOP part 6).

use quick_xml::events::{BytesStart, BytesText, Event};

use super::{Out, element, emit, empty};
use crate::signalling::{ProtectedTrack, Protection, System, base64};

/// The namespaces of what stands here, for the MPD element.
pub(super) const NAMESPACES: [(&str, &str); 3] = [
    ("xmlns:cenc", "urn:mpeg:cenc:2013"),
    ("xmlns:mspr", "urn:microsoft:playready"),
    ("xmlns:dashif", "https://dashif.org/CPS"),
];

/// The descriptors of an adaptation set, all of whose tracks have this track's key. `prefix` leads
/// from the MPD's folder to the version's.
pub(super) fn write(w: &mut Out, protection: &Protection, track: &ProtectedTrack, prefix: &str) {
    let key_id = track.protector.key_id();
    let fourcc = protection.scheme().fourcc();
    let scheme = std::str::from_utf8(&fourcc).expect("four letters");
    let protected = [
        ("schemeIdUri", "urn:mpeg:dash:mp4protection:2011"),
        ("value", scheme),
        ("cenc:default_KID", &key_id.to_string()),
    ];
    empty(w, BytesStart::new("ContentProtection").with_attributes(protected));
    let boxes = protection.pssh_boxes(key_id);
    let signals = protection.signals();
    // Relative like every URL of an MPD. Players take it as it stands, so a page that knows where
    // the MPD was resolves it.
    let own_keys = signals.delivers_keys.then(|| format!("{prefix}clearkey"));
    let clearkey_la_url = signals.clearkey_la_url.clone().or(own_keys);
    for system in &signals.systems {
        let (value, la_url) = match system {
            System::Widevine => ("Widevine", &signals.widevine_la_url),
            System::PlayReady => ("MSPR 2.0", &signals.playready_la_url),
            System::ClearKey => ("ClearKey1.0", &clearkey_la_url),
            System::Common => ("", &None),
            // Apple's players read HLS.
            System::FairPlay => continue,
        };
        let uri = format!("urn:uuid:{}", system.id());
        let mut start = BytesStart::new("ContentProtection");
        start.push_attribute(("schemeIdUri", uri.as_str()));
        if !value.is_empty() {
            start.push_attribute(("value", value));
        }
        // A pssh stands under the system that it is of: that of clear keys is the common one's.
        let pssh = boxes.iter().find(|(of, _)| of == system);
        let own_pssh = pssh.filter(|_| *system != System::ClearKey);
        element(w, start, |w| {
            if let Some((_, pssh)) = own_pssh {
                text(w, BytesStart::new("cenc:pssh"), &base64(pssh));
            }
            if *system == System::PlayReady {
                let object = protection.playready_object(key_id);
                text(w, BytesStart::new("mspr:pro"), &base64(&object));
            }
            if let Some(url) = la_url {
                let kind = [("licenseType", "EME-1.0")];
                text(w, BytesStart::new("dashif:Laurl").with_attributes(kind), url);
            }
        });
        if let (Some((_, pssh)), true) = (pssh, *system == System::ClearKey) {
            let uri = format!("urn:uuid:{}", System::Common.id());
            let common = BytesStart::new("ContentProtection")
                .with_attributes([("schemeIdUri", uri.as_str())]);
            element(w, common, |w| text(w, BytesStart::new("cenc:pssh"), &base64(pssh)));
        }
    }
}

fn text(w: &mut Out, start: BytesStart<'static>, value: &str) {
    element(w, start, |w| emit(w, Event::Text(BytesText::new(value))));
}
