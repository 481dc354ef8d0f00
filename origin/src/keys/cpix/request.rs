//! What a key server is asked: SPEKE v2's profile of CPIX 2.3, a document with the ids of keys and
//! what each is for.

use std::fmt::Write as _;

use headwater_config::System;
use headwater_packager::drm;
use headwater_packager::label::Label;
use headwater_packager::signalling::KeyUse;

use super::Asked;

/// The document. Everything in it is a word of ours, a number, or an id that is safe in XML.
pub(super) fn document(asked: &Asked) -> String {
    let Asked { title, scheme, systems, keys, is_of_session: _ } = asked;
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
            let wanted = signals(system);
            let open = "<cpix:DRMSystem";
            let _ = writeln!(
                text,
                "{open} kid=\"{id}\" systemId=\"{system}\">{wanted}</cpix:DRMSystem>"
            );
        }
    }
    text.push_str("</cpix:DRMSystemList>\n");
    // Where keys change: which periods there are.
    let mut periods: Vec<u32> = keys.iter().map(|(_, of)| of.period).collect();
    periods.sort_unstable();
    periods.dedup();
    let change = periods.iter().any(|period| *period > 0);
    if change {
        text.push_str("<cpix:ContentKeyPeriodList>\n");
        for period in periods {
            let _ = writeln!(text, "<cpix:ContentKeyPeriod id=\"p{period}\" index=\"{period}\"/>");
        }
        text.push_str("</cpix:ContentKeyPeriodList>\n");
    }
    text.push_str("<cpix:ContentKeyUsageRuleList>\n");
    for (id, KeyUse { period, label }) in keys {
        let _ =
            writeln!(text, "<cpix:ContentKeyUsageRule kid=\"{id}\" intendedTrackType=\"{label}\">");
        if change {
            let _ = writeln!(text, "<cpix:KeyPeriodFilter periodId=\"p{period}\"/>");
        }
        text.push_str(filter(*label));
        text.push_str("\n</cpix:ContentKeyUsageRule>\n");
    }
    text.push_str("</cpix:ContentKeyUsageRuleList>\n</cpix:CPIX>\n");
    text
}

/// What is wanted to be said to players: empty elements, which the server fills (SPEKE v2, standard
/// payload components).
fn signals(system: drm::SystemId) -> &'static str {
    match system {
        drm::FAIRPLAY => "<cpix:HLSSignalingData playlist=\"media\"/>",
        _ => "<cpix:PSSH/><cpix:ContentProtectionData/><cpix:HLSSignalingData playlist=\"media\"/>",
    }
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
        let of = |period, label| KeyUse { period, label };
        let mut asked = Asked {
            is_of_session: false,
            title: "film".parse().unwrap(),
            scheme: Scheme::Cbcs,
            systems: vec![System::Widevine, System::Common, System::Fairplay],
            keys: vec![(KeyId([1; 16]), of(0, Label::Audio)), (KeyId([2; 16]), of(0, Label::Hd))],
        };
        assert_eq!(document(&asked), include_str!("request.golden.xml"));
        asked.keys.push((KeyId([3; 16]), of(3, Label::Hd)));
        let rotated = document(&asked);
        for period in [0, 3] {
            let listed = format!("<cpix:ContentKeyPeriod id=\"p{period}\" index=\"{period}\"/>");
            assert_eq!(rotated.matches(&listed).count(), 1, "{rotated}");
        }
        let of_period =
            |n| rotated.matches(&format!("<cpix:KeyPeriodFilter periodId=\"p{n}\"/>")).count();
        assert_eq!([of_period(0), of_period(3)], [2, 1]);
    }
}
