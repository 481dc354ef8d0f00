//! What there is to ask for: a list in a file, or everything that a title's manifest leads to.

use std::collections::HashSet;
use std::path::PathBuf;
use std::rc::Rc;

use url::Url;

use crate::address;
use crate::client::{Answer, Ask, Keep, Link, Network};
use crate::error::Error;
use crate::limits::{MAX_REDIRECTS, MAX_TARGETS};
use crate::manifest::{Piece, Presentation, Protocol, Segments, hls};

/// What a title is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    /// Manifests, init sections and segments
    All,
    /// Segments alone
    Segments,
    /// Manifests and playlists alone
    Manifests,
}

/// What is to be asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Sources {
    /// A file of URLs, one a line; # begins a remark. For `compare`, paths below A will do
    #[arg(long, value_name = "FILE")]
    pub urls: Option<PathBuf>,
    /// A multivariant playlist or MPD: all that it leads to; may be repeated. For `compare`, a path
    /// below A will do
    #[arg(long, value_name = "URL")]
    pub title: Vec<String>,
    /// What of a title
    #[arg(long, value_enum, default_value_t = What::All, value_name = "WHAT")]
    pub what: What,
}

impl Sources {
    /// Everything, each piece once, in order. What does not begin with a scheme lies below `base`.
    pub async fn gather(
        &self,
        network: &Rc<Network>,
        base: Option<&Url>,
        named: &[String],
    ) -> Result<Vec<Piece>, Error> {
        let mut pieces = Vec::new();
        let whole = |url| Piece { url, range: None };
        for text in named {
            pieces.push(whole(resolve(base, text)?));
        }
        if let Some(path) = &self.urls {
            let told =
                |what: &dyn std::fmt::Display| Error::usage(format!("{}: {what}", path.display()));
            let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
            for line in text.lines().map(str::trim) {
                if !line.is_empty() && !line.starts_with('#') {
                    pieces.push(whole(resolve(base, line).map_err(|error| told(&error))?));
                }
            }
        }
        for title in &self.title {
            let url = resolve(base, title)?;
            pieces.extend(expand(network, &url, self.what).await?);
        }
        let mut seen = HashSet::new();
        pieces.retain(|piece| seen.insert((piece.url.clone(), piece.range.clone())));
        match pieces.len() {
            0 => {
                Err(Error::usage("nothing to ask for: name URLs, --urls FILE or --title MANIFEST"))
            }
            count if count > MAX_TARGETS => {
                Err(Error::usage(format!("{count} URLs, at most {MAX_TARGETS}")))
            }
            _ => Ok(pieces),
        }
    }
}

/// Fetches a manifest or playlist through redirects: where it was in the end, and what it says.
pub async fn fetch_text(
    network: &Rc<Network>,
    link: &mut Link,
    url: &Url,
) -> Result<(Url, Answer), String> {
    let mut url = url.clone();
    for _ in 0..=MAX_REDIRECTS {
        let ask = Ask::of(network, &url).await?;
        let reply = link.get(&ask, Keep::Whole, None).await;
        let answer = reply.result.map_err(|(kind, what)| format!("{url}: {kind}: {what}"))?;
        match (answer.status, &answer.location) {
            (200, _) => return Ok((url, answer)),
            (301 | 302 | 303 | 307 | 308, Some(location)) => url = address::follow(&url, location)?,
            (status, _) => return Err(format!("{url}: {status}, expected 200")),
        }
    }
    Err(format!("{url}: more than {MAX_REDIRECTS} redirects"))
}

/// Reads a manifest as its path says.
pub fn read_manifest(body: &[u8], url: &Url) -> Result<Presentation, String> {
    let text = str::from_utf8(body).map_err(|_| format!("{url}: not UTF-8"))?;
    match Protocol::of(url)? {
        Protocol::Hls => hls::multivariant(text, url),
        Protocol::Dash => crate::manifest::dash::read(text, url),
    }
}

fn resolve(base: Option<&Url>, text: &str) -> Result<Url, Error> {
    let whole = match base {
        Some(base) if !text.contains("://") => {
            format!("{}/{}", base.as_str().trim_end_matches('/'), text.trim_start_matches('/'))
        }
        _ => text.to_owned(),
    };
    address::parse(&whole).map_err(Error::usage)
}

async fn expand(network: &Rc<Network>, url: &Url, what: What) -> Result<Vec<Piece>, Error> {
    Protocol::of(url).map_err(Error::usage)?;
    let mut link = Link::own(network);
    let (at, answer) = fetch_text(network, &mut link, url).await.map_err(Error::run)?;
    let title = read_manifest(&answer.body, &at).map_err(Error::run)?;
    let whole = |url: &Url| Piece { url: url.clone(), range: None };
    let mut pieces = Vec::new();
    let (manifests, segments) = (what != What::Segments, what != What::Manifests);
    if manifests {
        pieces.push(whole(url));
    }
    for track in &title.tracks {
        let timeline = match &track.segments {
            Segments::Known(timeline) => Rc::new((**timeline).clone()),
            Segments::Playlist(url) => {
                if manifests {
                    pieces.push(whole(url));
                }
                let (at, answer) = fetch_text(network, &mut link, url).await.map_err(Error::run)?;
                let text = String::from_utf8_lossy(&answer.body);
                Rc::new(hls::media(&text, &at).map_err(Error::run)?)
            }
        };
        if segments {
            let inits = if what == What::All { timeline.inits.as_slice() } else { &[] };
            pieces.extend(inits.iter().cloned());
            pieces.extend(timeline.segments.iter().map(|segment| segment.piece.clone()));
        }
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_below_a_base() {
        let base = address::parse("http://h/clear/").unwrap();
        for (base, text, wanted) in [
            (Some(&base), "/t/a", Some("http://h/clear/t/a")),
            (Some(&base), "t/a", Some("http://h/clear/t/a")),
            (Some(&base), "http://o/a", Some("http://o/a")),
            (None, "http://o/a", Some("http://o/a")),
            (None, "/t/a", None),
        ] {
            assert_eq!(resolve(base, text).ok().as_ref().map(Url::as_str), wanted, "{text}");
        }
    }
}
