//! Every URL of the origin in one enum, decoded by one pure function.
//!
//! ```text
//! /  /titles.json  /<file>  /assets/<file>                 the player page
//! /healthz  /readyz
//! /<profile>/<title>/<manifest>                            the live version
//! /<profile>/<title>/<version>.<rev>/<manifest>            master.m3u8, manifest.mpd
//! /<profile>/<title>/<version>.<rev>/<track>/<file>        index.m3u8, iframes.m3u8, init.mp4, <n>.m4s, key
//! /<profile>/<title>/<version>.<rev>/<track>/<file>        init.<period>.mp4, key.<period> where keys rotate
//! /<profile>/<title>/<version>.<rev>/clearkey
//! /<profile>/<title>/<version>.<rev>/s.<session>/...       any of these where each session has its own keys
//! ```
//!
//! A resource has exactly one spelling: what parses prints back to the very same path, so the path
//! is the cache key. Nothing here ever needs percent-encoding, so an encoded path would be a second
//! spelling and is refused, as are empty elements and dot elements. The query is not looked at.
//! Whether profile, title, version or track exist is for later stages to say.

use std::fmt;
use std::str::FromStr;

use headwater_config::Format;
use http::Method;

use headwater_packager::ids::{Rev, TitleId, TrackId, VersionId};
use headwater_packager::period::Suffix;

use crate::access::scope::SessionId;

/// What stands before a session in a path.
pub const SESSION: &str = "s.";

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// `/`: the player page.
    Page,
    /// `/titles.json`: what the player page lists.
    TitleList,
    /// `/<file>` or `/assets/<file>`: a part of the player page, named without the leading slash.
    Asset(&'a str),
    /// `/healthz`: the process answers.
    Health,
    /// `/readyz`: the store can be read.
    Ready,
    /// A manifest of whatever version is live.
    Live {
        /// The delivery policy's name.
        profile: &'a str,
        /// The title.
        title: TitleId,
        /// Which manifest.
        manifest: Manifest,
    },
    /// A resource bound to one version; its bytes never change.
    Versioned {
        /// The delivery policy's name.
        profile: &'a str,
        /// The title.
        title: TitleId,
        /// The version.
        version: VersionId,
        /// What else shapes the bytes.
        rev: Rev,
        /// Whose they are, where each session has keys of its own.
        session: Option<SessionId>,
        /// The resource of that version.
        resource: Resource,
    },
}

/// A manifest for a whole title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// `master.m3u8`: HLS multivariant playlist.
    Hls,
    /// `manifest.mpd`: DASH MPD.
    Dash,
}

/// A resource of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A manifest for the whole title.
    Manifest(Manifest),
    /// A file of one track that heads alone determine.
    TrackFile(TrackId, TrackFile),
    /// `<n>.m4s`: CMAF segment of one track; counts from 1.
    Segment(TrackId, u32),
    /// `<track>/key`, or `<track>/key.<period>`: the 16 bytes of a track's key.
    Key(TrackId, Suffix),
    /// `clearkey`: keys for W3C Clear Key, by POST.
    ClearKey,
}

/// A file of one track that heads alone determine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackFile {
    /// `index.m3u8`: HLS media playlist.
    Playlist,
    /// `iframes.m3u8`: HLS I-frame playlist.
    Iframes,
    /// `init.mp4`, or `init.<period>.mp4`: CMAF header.
    Init(Suffix),
}

/// Why a path is no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRouted {
    /// It could never name anything, or would be a second spelling of something: 400.
    Malformed(&'static str),
    /// Well formed, but nothing has such a name: 404.
    Unknown,
}

impl<'a> Route<'a> {
    /// Decodes the path of a request, without its query.
    pub fn parse(path: &'a str) -> Result<Self, NotRouted> {
        let relative = path.strip_prefix('/').ok_or(NotRouted::Malformed("no leading slash"))?;
        let [first, second, third, fourth, fifth, sixth, seventh] = elements(relative)?;
        match (first, second, third, fourth, fifth, sixth) {
            (Some(""), None, ..) => Ok(Self::Page),
            (Some("titles.json"), None, ..) => Ok(Self::TitleList),
            (Some("healthz"), None, ..) => Ok(Self::Health),
            (Some("readyz"), None, ..) => Ok(Self::Ready),
            (Some(_), None, ..) | (Some("assets"), Some(_), None, ..) => Ok(Self::Asset(relative)),
            (Some(profile), Some(title), Some(manifest), None, ..) => {
                Ok(Self::Live { profile, title: known(title)?, manifest: known(manifest)? })
            }
            (Some(profile), Some(title), Some(bound), Some(fourth), fifth, sixth) => {
                let (version, rev) = bound.split_once('.').ok_or(NotRouted::Unknown)?;
                let (session, file, track_file, more) = match fourth.strip_prefix(SESSION) {
                    None => (None, Some(fourth), fifth, sixth),
                    Some(session) => (Some(known(session)?), fifth, sixth, seventh),
                };
                let (Some(file), None) = (file, more) else { return Err(NotRouted::Unknown) };
                let resource = match track_file {
                    None if file == "clearkey" => Resource::ClearKey,
                    None => Resource::Manifest(known(file)?),
                    Some(track_file) => Resource::of_track(known(file)?, track_file)?,
                };
                Ok(Self::Versioned {
                    profile,
                    title: known(title)?,
                    version: known(version)?,
                    rev: known(rev)?,
                    session,
                    resource,
                })
            }
            _ => Err(NotRouted::Unknown),
        }
    }

    /// The kind of resource, as metrics and the access log call it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Page | Self::Asset(_) => "page",
            Self::TitleList => "title_list",
            Self::Health | Self::Ready => "health",
            Self::Live { manifest, .. } => manifest.kind(),
            Self::Versioned { resource, .. } => match resource {
                Resource::Manifest(manifest) => manifest.kind(),
                Resource::TrackFile(_, TrackFile::Playlist) => "hls_media",
                Resource::TrackFile(_, TrackFile::Iframes) => "hls_iframes",
                Resource::TrackFile(_, TrackFile::Init(_)) => "init",
                Resource::Segment(..) => "segment",
                Resource::Key(..) | Resource::ClearKey => "key",
            },
        }
    }

    /// The path with names in braces, as OpenTelemetry's `http.route`: as many as there are routes.
    pub fn template(&self) -> &'static str {
        match self {
            Self::Page => "/",
            Self::Asset(_) => "/{asset}",
            Self::TitleList => "/titles.json",
            Self::Health => "/healthz",
            Self::Ready => "/readyz",
            Self::Live { manifest: Manifest::Hls, .. } => "/{profile}/{title}/master.m3u8",
            Self::Live { manifest: Manifest::Dash, .. } => "/{profile}/{title}/manifest.mpd",
            Self::Versioned { resource, session, .. } => resource.template(session.is_some()),
        }
    }

    /// The profile asked for, where one is named.
    pub fn profile(&self) -> Option<&'a str> {
        match self {
            Self::Live { profile, .. } | Self::Versioned { profile, .. } => Some(profile),
            _ => None,
        }
    }
}

impl Manifest {
    /// The format that it belongs to.
    pub fn format(self) -> Format {
        match self {
            Self::Hls => Format::Hls,
            Self::Dash => Format::Dash,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Hls => "hls_master",
            Self::Dash => "dash",
        }
    }
}

impl Resource {
    /// The format whose manifest it is, if it is one.
    pub fn format(&self) -> Option<Format> {
        match self {
            Self::Manifest(manifest) => Some(manifest.format()),
            Self::TrackFile(_, TrackFile::Playlist | TrackFile::Iframes) => Some(Format::Hls),
            Self::TrackFile(_, TrackFile::Init(_))
            | Self::Segment(..)
            | Self::Key(..)
            | Self::ClearKey => None,
        }
    }

    fn template(&self, of_session: bool) -> &'static str {
        /// The template of a version's file, of all viewers' and of one session's.
        macro_rules! either {
            ($file:literal) => {
                match of_session {
                    false => concat!("/{profile}/{title}/{version}/", $file),
                    true => concat!("/{profile}/{title}/{version}/s.{session}/", $file),
                }
            };
        }
        match self {
            Self::Manifest(Manifest::Hls) => either!("master.m3u8"),
            Self::Manifest(Manifest::Dash) => either!("manifest.mpd"),
            Self::TrackFile(_, TrackFile::Playlist) => either!("{track}/index.m3u8"),
            Self::TrackFile(_, TrackFile::Iframes) => either!("{track}/iframes.m3u8"),
            Self::TrackFile(_, TrackFile::Init(Suffix(None))) => either!("{track}/init.mp4"),
            Self::TrackFile(_, TrackFile::Init(Suffix(Some(_)))) => {
                either!("{track}/init.{period}.mp4")
            }
            Self::Segment(..) => either!("{track}/{segment}.m4s"),
            Self::Key(_, Suffix(None)) => either!("{track}/key"),
            Self::Key(_, Suffix(Some(_))) => either!("{track}/key.{period}"),
            Self::ClearKey => either!("clearkey"),
        }
    }

    fn of_track(track: TrackId, file: &str) -> Result<Self, NotRouted> {
        if let Some(suffix) = file.strip_prefix("key") {
            return Ok(Self::Key(track, period(suffix)?));
        }
        let Some(digits) = file.strip_suffix(".m4s") else {
            return Ok(Self::TrackFile(track, known(file)?));
        };
        match number(digits)? {
            0 => Err(NotRouted::Unknown),
            number => Ok(Self::Segment(track, number)),
        }
    }
}

/// Whether an answer may depend on a request's body, so that the codec must read it.
pub fn takes_body(method: &Method, path: &str) -> bool {
    method == Method::POST && path.ends_with("/clearkey")
}

/// What stands between slashes, as far as any route has elements, and one more. Refuses every spelling that some
/// client, proxy or cache might fold into another one.
///
/// In one pass: each request has a hundred bytes.
fn elements(relative: &str) -> Result<[Option<&str>; MOST_ELEMENTS + 1], NotRouted> {
    let mut elements = [None; MOST_ELEMENTS + 1];
    let (mut count, mut start, mut is_folded) = (0, 0, false);
    let mut end_at = |end: usize| {
        let element = &relative[start..end];
        is_folded |= matches!(element, "" | "." | "..");
        if let Some(place) = elements.get_mut(count) {
            *place = Some(element);
        }
        (count, start) = (count + 1, end + 1);
    };
    for (at, byte) in relative.bytes().enumerate() {
        match SPELLING[usize::from(byte)] {
            Spelling::Plain => {}
            Spelling::Slash => end_at(at),
            Spelling::Refused => {
                return Err(NotRouted::Malformed(
                    "percent-encoding and special characters are not used",
                ));
            }
        }
    }
    end_at(relative.len());
    if is_folded && !relative.is_empty() {
        return Err(NotRouted::Malformed("empty and dot elements are not used"));
    }
    Ok(elements)
}

/// Elements of the longest route: a track's file in a session.
const MOST_ELEMENTS: usize = 6;

/// What a byte is to a path.
#[derive(Clone, Copy)]
enum Spelling {
    Plain,
    Slash,
    Refused,
}

static SPELLING: [Spelling; 256] = {
    let mut spelling = [Spelling::Refused; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        spelling[byte as usize] = match byte {
            b'/' => Spelling::Slash,
            b'%' | b'\\' | b'?' | b'#' => Spelling::Refused,
            _ => Spelling::Plain,
        };
        byte += 1;
    }
    spelling
};

/// A number in its one spelling.
fn number(digits: &str) -> Result<u32, NotRouted> {
    let is_one = digits.bytes().all(|b| b.is_ascii_digit());
    let is_shortest = digits == "0" || !digits.starts_with('0');
    if is_one && is_shortest { known(digits) } else { Err(NotRouted::Unknown) }
}

/// Nothing, or a point and a period's number.
fn period(suffix: &str) -> Result<Suffix, NotRouted> {
    match suffix.strip_prefix('.') {
        Some(digits) => Ok(Suffix(Some(number(digits)?))),
        None if suffix.is_empty() => Ok(Suffix(None)),
        None => Err(NotRouted::Unknown),
    }
}

/// A well-formed path whose element cannot be parsed names nothing.
fn known<T: FromStr>(element: &str) -> Result<T, NotRouted> {
    element.parse().map_err(|_| NotRouted::Unknown)
}

impl FromStr for Manifest {
    type Err = NotRouted;

    fn from_str(file: &str) -> Result<Self, NotRouted> {
        match file {
            "master.m3u8" => Ok(Self::Hls),
            "manifest.mpd" => Ok(Self::Dash),
            _ => Err(NotRouted::Unknown),
        }
    }
}

impl FromStr for TrackFile {
    type Err = NotRouted;

    fn from_str(file: &str) -> Result<Self, NotRouted> {
        match file {
            "index.m3u8" => Ok(Self::Playlist),
            "iframes.m3u8" => Ok(Self::Iframes),
            _ => {
                let suffix = file.strip_prefix("init").and_then(|file| file.strip_suffix(".mp4"));
                Ok(Self::Init(period(suffix.ok_or(NotRouted::Unknown)?)?))
            }
        }
    }
}

impl fmt::Display for Route<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page => f.write_str("/"),
            Self::TitleList => f.write_str("/titles.json"),
            Self::Asset(file) => write!(f, "/{file}"),
            Self::Health => f.write_str("/healthz"),
            Self::Ready => f.write_str("/readyz"),
            Self::Live { profile, title, manifest } => write!(f, "/{profile}/{title}/{manifest}"),
            Self::Versioned { profile, title, version, rev, session, resource } => {
                let session =
                    session.as_ref().map(|id| format!("{SESSION}{id}/")).unwrap_or_default();
                write!(f, "/{profile}/{title}/{version}.{rev}/{session}{resource}")
            }
        }
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hls => "master.m3u8",
            Self::Dash => "manifest.mpd",
        })
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest(manifest) => manifest.fmt(f),
            Self::TrackFile(track, file) => write!(f, "{track}/{file}"),
            Self::Segment(track, number) => write!(f, "{track}/{number}.m4s"),
            Self::Key(track, suffix) => write!(f, "{track}/key{suffix}"),
            Self::ClearKey => f.write_str("clearkey"),
        }
    }
}

impl fmt::Display for TrackFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Playlist => f.write_str("index.m3u8"),
            Self::Iframes => f.write_str("iframes.m3u8"),
            Self::Init(suffix) => write!(f, "init{suffix}.mp4"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUND: &str = "01939c2e-7f00-7abc-8def-0123456789ab.00c0ffee";

    #[test]
    fn each_kind_of_url() {
        let live = |manifest| Route::Live {
            profile: "main",
            title: "big.buck_bunny-1".parse().unwrap(),
            manifest,
        };
        let bound = |resource| Route::Versioned {
            profile: "main",
            title: "t".parse().unwrap(),
            version: "01939c2e-7f00-7abc-8def-0123456789ab".parse().unwrap(),
            rev: Rev(0x00c0_ffee),
            session: None,
            resource,
        };
        let track = |file| bound(Resource::TrackFile("v1080".parse().unwrap(), file));
        let key = |suffix| bound(Resource::Key("v1080".parse().unwrap(), suffix));
        let segment = |number| bound(Resource::Segment("v1080".parse().unwrap(), number));
        let cases = [
            ("/".to_owned(), Route::Page),
            ("/titles.json".into(), Route::TitleList),
            ("/favicon.svg".into(), Route::Asset("favicon.svg")),
            ("/assets/index-B1x_.js".into(), Route::Asset("assets/index-B1x_.js")),
            ("/healthz".into(), Route::Health),
            ("/readyz".into(), Route::Ready),
            ("/main/big.buck_bunny-1/master.m3u8".into(), live(Manifest::Hls)),
            ("/main/big.buck_bunny-1/manifest.mpd".into(), live(Manifest::Dash)),
            (format!("/main/t/{BOUND}/master.m3u8"), bound(Resource::Manifest(Manifest::Hls))),
            (format!("/main/t/{BOUND}/manifest.mpd"), bound(Resource::Manifest(Manifest::Dash))),
            (format!("/main/t/{BOUND}/v1080/index.m3u8"), track(TrackFile::Playlist)),
            (format!("/main/t/{BOUND}/v1080/iframes.m3u8"), track(TrackFile::Iframes)),
            (format!("/main/t/{BOUND}/v1080/init.mp4"), track(TrackFile::Init(Suffix(None)))),
            (
                format!("/main/t/{BOUND}/v1080/init.12.mp4"),
                track(TrackFile::Init(Suffix(Some(12)))),
            ),
            (format!("/main/t/{BOUND}/v1080/1.m4s"), segment(1)),
            (format!("/main/t/{BOUND}/v1080/key"), key(Suffix(None))),
            (format!("/main/t/{BOUND}/v1080/key.0"), key(Suffix(Some(0)))),
            (format!("/main/t/{BOUND}/clearkey"), bound(Resource::ClearKey)),
            (format!("/main/t/{BOUND}/v1080/4294967295.m4s"), segment(u32::MAX)),
        ];
        let own = |resource| match bound(resource) {
            Route::Versioned { profile, title, version, rev, resource, .. } => {
                let session = Some("a.B_1".parse().unwrap());
                Route::Versioned { profile, title, version, rev, session, resource }
            }
            other => other,
        };
        let of_sessions = [
            ("master.m3u8", own(Resource::Manifest(Manifest::Hls))),
            ("clearkey", own(Resource::ClearKey)),
            ("v1/2.m4s", own(Resource::Segment("v1".parse().unwrap(), 2))),
        ];
        let of_sessions =
            of_sessions.map(|(file, route)| (format!("/main/t/{BOUND}/s.a.B_1/{file}"), route));
        for (path, wanted) in cases.into_iter().chain(of_sessions) {
            // An asset's folder is a part of its name.
            if !matches!(wanted, Route::Asset(_)) {
                assert!(fits(wanted.template(), &path), "{path}: {}", wanted.template());
            }
            assert_eq!(Route::parse(&path), Ok(wanted), "{path}");
        }
    }

    /// Whether a path is a template's, element by element: a name in braces stands for any.
    fn fits(template: &str, path: &str) -> bool {
        let pairs = || template.split('/').zip(path.split('/'));
        let fits = |(template, element): (&str, &str)| match template.split_once('{') {
            Some((before, name)) => {
                let after = name.split_once('}').unwrap().1;
                element.starts_with(before) && element.ends_with(after)
            }
            None => template == element,
        };
        pairs().count() == path.split('/').count().max(template.split('/').count())
            && pairs().all(fits)
    }

    #[test]
    fn second_spellings_are_malformed() {
        let paths = [
            "",
            "main/t/master.m3u8",
            "*",
            "//",
            "//main/t/master.m3u8",
            "/main//master.m3u8",
            "/main/t/master.m3u8/",
            "/main/t/./master.m3u8",
            "/main/../t/master.m3u8",
            "/../../etc/passwd",
            "/main/%74/master.m3u8",
            "/main/%2e%2e/master.m3u8",
            "/main/t%2Fmaster.m3u8",
            "/main\\t\\master.m3u8",
            "/main/t/master.m3u8#x",
            "/main/tä/master.m3u8",
            "/main/t /master.m3u8",
            "/main/t\0/master.m3u8",
        ];
        for path in paths {
            assert!(matches!(Route::parse(path), Err(NotRouted::Malformed(_))), "{path:?}");
        }
    }

    #[test]
    fn near_misses_are_unknown() {
        let paths = [
            "/main/t".to_owned(),
            "/main/t/index.m3u8".into(),
            "/main/t/master.m3u8x".into(),
            "/main/t/Master.m3u8".into(),
            "/main/t,u/master.m3u8".into(),
            format!("/main/{}/master.m3u8", "x".repeat(129)),
            format!("/main/t/{BOUND}"),
            format!("/main/t/{}/master.m3u8", BOUND.to_uppercase()),
            format!("/main/t/{BOUND}0/master.m3u8"),
            "/main/t/01939c2e-7f00-7abc-8def-0123456789ab/master.m3u8".into(),
            "/main/t/01939c2e-7f00-7abc-8def-0123456789ab.00C0FFEE/master.m3u8".into(),
            "/main/t/01939c2e-7f00-7abc-8def-0123456789ab.c0ffee/master.m3u8".into(),
            format!("/main/t/{BOUND}/V1080/init.mp4"),
            format!("/main/t/{BOUND}/v1080/0.m4s"),
            format!("/main/t/{BOUND}/v1080/01.m4s"),
            format!("/main/t/{BOUND}/v1080/+1.m4s"),
            format!("/main/t/{BOUND}/v1080/-1.m4s"),
            format!("/main/t/{BOUND}/v1080/.m4s"),
            format!("/main/t/{BOUND}/v1080/4294967296.m4s"),
            format!("/main/t/{BOUND}/v1080/1.mp4"),
            format!("/main/t/{BOUND}/key"),
            format!("/main/t/{BOUND}/v1080/key."),
            format!("/main/t/{BOUND}/s./master.m3u8"),
            format!("/main/t/{BOUND}/s.a"),
            format!("/main/t/{BOUND}/s.a,b/master.m3u8"),
            format!("/main/t/{BOUND}/s.a/s.b/master.m3u8"),
            format!("/main/t/{BOUND}/s.a/v1/1.m4s/x"),
            "/main/t/s.a/master.m3u8".into(),
            format!("/main/t/{BOUND}/v1080/key.00"),
            format!("/main/t/{BOUND}/v1080/key0"),
            format!("/main/t/{BOUND}/v1080/init..mp4"),
            format!("/main/t/{BOUND}/v1080/init.01.mp4"),
            format!("/main/t/{BOUND}/v1080/init.-1.mp4"),
            format!("/main/t/{BOUND}/v1080/init.4294967296.mp4"),
            format!("/main/t/{BOUND}/v1080/clearkey"),
            format!("/main/t/{BOUND}/v1080/1.m4s/x"),
            format!("/main/t/{BOUND}/v1080/1.m4s/x/y"),
            "/assets/a/b".into(),
        ];
        for path in paths {
            assert_eq!(Route::parse(&path), Err(NotRouted::Unknown), "{path:?}");
        }
    }

    proptest! {
        /// The law that makes a path its own cache key: one resource, one spelling.
        #[test]
        fn what_parses_prints_back(path in "/?([a-z.0-9A-F/%-]{0,12}|main|01939c2e-7f00-7abc-8def-0123456789ab\\.[0-9a-fA-F]{8}|v1|s\\.[a-z.]{0,3}|[0-9]{1,11}\\.m4s|init(\\.[0-9]{1,3})?\\.mp4|key\\.[0-9]{1,3}|master\\.m3u8)(/([a-z.]{0,4}|01939c2e-7f00-7abc-8def-0123456789ab\\.[0-9a-f]{8}|v1|s\\.[a-z.]{0,3}|[0-9]{1,11}\\.m4s|index\\.m3u8|manifest\\.mpd)){0,6}") {
            if let Ok(route) = Route::parse(&path) {
                prop_assert_eq!(route.to_string(), path);
            }
        }
    }
}
