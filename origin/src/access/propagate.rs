//! Manifests whose URIs take a token in the query along: a relative URI does not inherit a query
//! (RFC 3986 5.2.2), as it inherits a path.
//!
//! ```text
//!             HLS                                                   DASH
//! reference   EXT-X-DEFINE:QUERYPARAM (8216bis 4.4.2.3)             ExtUrlQueryInfo (23009-1 annex I)
//! inline      ?token=... behind every URI                           ... behind templates and Laurl
//! ```
//!
//! A reference is the same for every viewer, an inline one is not. Finished manifests are
//! rewritten: what is cached knows of no token. Only relative URIs are ours to add to.

use std::borrow::Cow;

/// How a query goes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Along<'a> {
    /// By its parameter's name.
    Reference(&'a str),
    /// By its parameter's name and value, which need no encoding in a URL.
    Inline(&'a str, &'a str),
}

/// EXT-X-VERSION of a playlist with EXT-X-DEFINE:QUERYPARAM (8216bis 8).
const QUERYPARAM_VERSION: u32 = 11;
const VERSION_TAG: &str = "#EXT-X-VERSION:";
/// What stands behind the address of a licence server, which is an element's text.
const LAURL_END: &str = "</dashif:Laurl>";

impl Along<'_> {
    /// A playlist with it. What is no playlist stays as it is.
    pub fn in_playlist(self, playlist: &str) -> String {
        let (define, query) = match self {
            Self::Reference(name) => (Some(name), format!("{name}={{${name}}}")),
            Self::Inline(name, value) => (None, format!("{name}={value}")),
        };
        let lines = playlist.lines().count();
        let mut to = String::with_capacity(playlist.len() + lines * (query.len() + 2));
        for line in playlist.lines() {
            let version = line.strip_prefix(VERSION_TAG);
            match (define, version) {
                // Said below, with what needs it.
                (Some(_), Some(_)) => continue,
                _ if line.starts_with('#') => {
                    to.push_str(&attribute_with(line, "URI", ("&", &query)));
                }
                _ => to.push_str(&uri_with(line, ("&", &query))),
            }
            to.push('\n');
            if let ("#EXTM3U", Some(name)) = (line, define) {
                to.push_str(&format!(
                    "{VERSION_TAG}{QUERYPARAM_VERSION}\n#EXT-X-DEFINE:QUERYPARAM=\"{name}\"\n"
                ));
            }
        }
        to
    }

    /// An MPD with it.
    pub fn in_mpd(self, mpd: &str) -> String {
        match self {
            // The players that know it take the whole query of the MPD's URL.
            Self::Reference(_) => mpd.replacen(
                "</MPD>",
                "<EssentialProperty schemeIdUri=\"urn:mpeg:dash:urlparam:2016\">\
                 <up:ExtUrlQueryInfo xmlns:up=\"urn:mpeg:dash:schema:urlparam:2016\" \
                 queryTemplate=\"$querypart$\" useMPDUrlQuery=\"true\" sameOriginOnly=\"true\" \
                 includeInRequests=\"segment\"/></EssentialProperty></MPD>",
                1,
            ),
            Self::Inline(name, value) => {
                let query = format!("{name}={value}");
                let query = ("&amp;", query.as_str());
                let mut to = String::with_capacity(mpd.len() + 16 * query.1.len());
                for element in mpd.split_inclusive('>') {
                    if element.starts_with("<SegmentTemplate ") {
                        let media = attribute_with(element, "media", query);
                        to.push_str(&attribute_with(&media, "initialization", query));
                    } else if let Some(url) = element.strip_suffix(LAURL_END) {
                        to.push_str(&uri_with(url, query));
                        to.push_str(LAURL_END);
                    } else {
                        to.push_str(element);
                    }
                }
                to
            }
        }
    }
}

/// A tag or element, with the query behind the URI in this attribute, if it has it.
fn attribute_with<'a>(text: &'a str, name: &str, query: (&str, &str)) -> Cow<'a, str> {
    let begin = format!("{name}=\"");
    let before = |at: usize| text[..at].ends_with([',', ':', ' ']);
    let Some(at) = text.find(&begin).filter(|&at| before(at)) else { return Cow::Borrowed(text) };
    let start = at + begin.len();
    let Some(len) = text[start..].find('"') else { return Cow::Borrowed(text) };
    let (uri, rest) = text[start..].split_at(len);
    Cow::Owned(format!("{}{}{rest}", &text[..start], uri_with(uri, query)))
}

/// A URI with the query behind it, which is joined to one that is there by how the language spells
/// an ampersand. One with a scheme (`data:`, `skd:`) is somebody else's.
fn uri_with<'a>(uri: &'a str, (and, query): (&str, &str)) -> Cow<'a, str> {
    if uri.is_empty() || uri.contains(':') {
        return Cow::Borrowed(uri);
    }
    let joint = if uri.contains('?') { and } else { "?" };
    Cow::Owned(format!("{uri}{joint}{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: Along<'_> = Along::Reference("token");
    const INLINE: Along<'_> = Along::Inline("token", "abc.d_e-f");

    #[test]
    fn every_uri_of_a_playlist_takes_it_along() {
        let playlist = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"1@2\"\n\
            #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://a\",KEYFORMAT=\"x\"\n\
            #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"data:text/plain;base64,AA\"\n\
            #EXT-X-KEY:METHOD=AES-128,URI=\"../key?label=HD\"\n\
            #EXTINF:6.000000,\n1.m4s\n#EXT-X-ENDLIST\n";
        let of = |q: &str, head: &str| {
            format!(
                "#EXTM3U\n{head}#EXT-X-MAP:URI=\"init.mp4?{q}\",BYTERANGE=\"1@2\"\n\
                 #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://a\",KEYFORMAT=\"x\"\n\
                 #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"data:text/plain;base64,AA\"\n\
                 #EXT-X-KEY:METHOD=AES-128,URI=\"../key?label=HD&{q}\"\n\
                 #EXTINF:6.000000,\n1.m4s?{q}\n#EXT-X-ENDLIST\n"
            )
        };
        let head = "#EXT-X-VERSION:11\n#EXT-X-DEFINE:QUERYPARAM=\"token\"\n";
        assert_eq!(REFERENCE.in_playlist(playlist), of("token={$token}", head));
        let inline = of("token=abc.d_e-f", "#EXT-X-VERSION:6\n");
        assert_eq!(INLINE.in_playlist(playlist), inline);
    }

    #[test]
    fn a_multivariant_playlist_too() {
        let playlist = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,NAME=\"a\",URI=\"x.1/a/index.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1\nx.1/v/index.m3u8\n";
        let wanted = "#EXTM3U\n#EXT-X-VERSION:11\n#EXT-X-DEFINE:QUERYPARAM=\"token\"\n\
            #EXT-X-MEDIA:TYPE=AUDIO,NAME=\"a\",URI=\"x.1/a/index.m3u8?token={$token}\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1\nx.1/v/index.m3u8?token={$token}\n";
        assert_eq!(REFERENCE.in_playlist(playlist), wanted);
    }

    #[test]
    fn an_mpds_templates_and_key_addresses_take_it_along() {
        let mpd = "<MPD><Period><ContentProtection>\
            <dashif:Laurl licenseType=\"EME-1.0\">x/clearkey</dashif:Laurl></ContentProtection>\
            <ContentProtection><dashif:Laurl>https://l.example/</dashif:Laurl></ContentProtection>\
            <SegmentTemplate timescale=\"1\" \
            initialization=\"x/$RepresentationID$/init.mp4?a=b\" media=\"x/$Number$.m4s\">\
            </SegmentTemplate></Period></MPD>";
        let inline = INLINE.in_mpd(mpd);
        assert!(inline.contains("media=\"x/$Number$.m4s?token=abc.d_e-f\""), "{inline}");
        assert!(inline.contains("/init.mp4?a=b&amp;token=abc.d_e-f\""), "{inline}");
        assert!(inline.contains(">x/clearkey?token=abc.d_e-f</dashif:Laurl>"), "{inline}");
        assert!(inline.contains(">https://l.example/</dashif:Laurl>"), "{inline}");
        let reference = REFERENCE.in_mpd(mpd);
        assert!(reference.starts_with(mpd.strip_suffix("</MPD>").unwrap()), "{reference}");
        assert!(reference.contains("useMPDUrlQuery=\"true\""), "{reference}");
        assert!(reference.ends_with("</EssentialProperty></MPD>"), "{reference}");
    }
}
