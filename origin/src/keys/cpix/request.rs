//! What a key server is asked: SPEKE v2's profile of CPIX 2.3, a document with the ids of keys and
//! what each is for.

use std::fmt::Write as _;

use headwater_config::System;
use headwater_packager::drm;
use headwater_packager::label::Label;

use super::Asked;

/// The document. Everything in it is a word of ours, a number, or an id that is safe in XML.
pub(super) fn document(asked: &Asked) -> String {
    let Asked { title, scheme, systems, period, keys } = asked;
    let scheme = scheme.as_str();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <cpix:CPIX contentId=\"{title}\" version=\"2.3\" xmlns:cpix=\"urn:dashif:org:cpix\" \
         xmlns:pskc=\"urn:ietf:params:xml:ns:keyprov:pskc\">\n<cpix:ContentKeyList>\n"
    );
    for (id, _) in keys {
        let key = "<cpix:ContentKey";
        let _ = writeln!(text, "{key} kid=\"{id}\" commonEncryptionScheme=\"{scheme}\"/>");
    }
    text.push_str("</cpix:ContentKeyList>\n<cpix:DRMSystemList>\n");
    for (id, _) in keys {
        for system in systems.iter().filter_map(|system| system_id(*system)) {
            let _ = writeln!(text, "<cpix:DRMSystem kid=\"{id}\" systemId=\"{system}\"/>");
        }
    }
    text.push_str("</cpix:DRMSystemList>\n");
    // Where keys change: which period these are of.
    if *period > 0 {
        let _ = writeln!(
            text,
            "<cpix:ContentKeyPeriodList>\n<cpix:ContentKeyPeriod id=\"p{period}\" \
             index=\"{period}\"/>\n</cpix:ContentKeyPeriodList>"
        );
    }
    text.push_str("<cpix:ContentKeyUsageRuleList>\n");
    for (id, label) in keys {
        let _ =
            writeln!(text, "<cpix:ContentKeyUsageRule kid=\"{id}\" intendedTrackType=\"{label}\">");
        if *period > 0 {
            let _ = writeln!(text, "<cpix:KeyPeriodFilter periodId=\"p{period}\"/>");
        }
        text.push_str(filter(*label));
        text.push_str("\n</cpix:ContentKeyUsageRule>\n");
    }
    text.push_str("</cpix:ContentKeyUsageRuleList>\n</cpix:CPIX>\n");
    text
}

/// What SPEKE says a label's tracks look like (encryption contract), in pixels of a picture.
fn filter(label: Label) -> &'static str {
    match label {
        Label::Audio => "<cpix:AudioFilter/>",
        Label::Sd => "<cpix:VideoFilter maxPixels=\"589824\"/>",
        Label::Hd => "<cpix:VideoFilter minPixels=\"589825\" maxPixels=\"2073600\"/>",
        Label::Uhd1 => "<cpix:VideoFilter minPixels=\"2073601\" maxPixels=\"8847360\"/>",
        Label::Uhd2 => "<cpix:VideoFilter minPixels=\"8847361\"/>",
    }
}

/// The systems that a key server has licences of.
fn system_id(system: System) -> Option<drm::SystemId> {
    match system {
        System::Widevine => Some(drm::WIDEVINE),
        System::Playready => Some(drm::PLAYREADY),
        System::Fairplay => Some(drm::FAIRPLAY),
        System::Clearkey | System::Common => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwater_config::Scheme;
    use headwater_packager::ids::KeyId;

    #[test]
    fn a_document_of_two_keys() {
        let mut asked = Asked {
            title: "film".parse().unwrap(),
            scheme: Scheme::Cbcs,
            systems: vec![System::Widevine, System::Common, System::Fairplay],
            period: 0,
            keys: vec![(KeyId([1; 16]), Label::Audio), (KeyId([2; 16]), Label::Hd)],
        };
        assert_eq!(document(&asked), include_str!("request.golden.xml"));
        asked.period = 3;
        let rotated = document(&asked);
        assert!(rotated.contains("<cpix:ContentKeyPeriod id=\"p3\" index=\"3\"/>"), "{rotated}");
        assert_eq!(rotated.matches("<cpix:KeyPeriodFilter periodId=\"p3\"/>").count(), 2);
    }
}
