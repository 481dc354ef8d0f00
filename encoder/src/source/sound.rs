//! The sounds of a source: which streams become tracks, in which language and role.
//!
//! What a container says counts, and what the uploader says counts more ([`Said`]).

use std::fmt;
use std::str::FromStr;

use headwater_packager::heads::Role;

use super::refusal;
use crate::error::{Error, Kind};
use crate::language::{self, Language};
use crate::limits;
use crate::probe::{Probe, Stream};

/// What a role is called by an uploader.
fn role(word: &str) -> Option<Role> {
    [Role::Main, Role::Alternate, Role::Dub, Role::Description, Role::Commentary]
        .into_iter()
        .find(|role| role.as_str() == word)
}

/// What the uploader says of a stream: `1:lang=en,role=commentary`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Which stream.
    pub stream: u32,
    /// Its language.
    pub language: Option<Language>,
    /// What it is for.
    pub role: Option<Role>,
}

impl FromStr for Said {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("`{text}`: expected a stream and what it is, such as 1:lang=en,role=commentary")
        };
        let (stream, rest) = text.split_once(':').ok_or_else(wrong)?;
        let mut said =
            Self { stream: stream.parse().map_err(|_| wrong())?, language: None, role: None };
        for part in rest.split(',') {
            match part.split_once('=') {
                Some(("lang", tag)) => {
                    let unknown =
                        || format!("`{tag}` is no language: expected a code such as en or deu");
                    said.language = Some(language::parse(tag).ok_or_else(unknown)?);
                }
                Some(("role", role)) => {
                    let unknown = || {
                        format!(
                            "`{role}`: expected main, alternate, dub, description or commentary"
                        )
                    };
                    said.role = Some(self::role(role).ok_or_else(unknown)?);
                }
                _ => return Err(wrong()),
            }
        }
        Ok(said)
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, language, role } = self;
        let language = language.as_ref().map(|language| format!("lang={}", language.tag));
        let role = role.map(|role| format!("role={}", role.as_str()));
        let said: Vec<_> = language.into_iter().chain(role).collect();
        write!(f, "{stream}:{}", said.join(","))
    }
}

/// A stream of sound that becomes a track.
#[derive(Clone, Debug)]
pub struct Sound {
    /// The stream.
    pub stream: Stream,
    /// What it is for; one is the main one.
    pub role: Role,
    /// The language it declares, or is said to have.
    pub language: Option<Language>,
}

/// Every sound of a source, the main one first. Streams that nobody can decode are left out and
/// told of, unless there is no other.
pub fn select(
    probe: &Probe,
    said: &[Said],
    notices: &mut Vec<String>,
) -> Result<Vec<Sound>, Error> {
    for Said { stream, .. } in said {
        if !probe.streams.iter().any(|s| s.index == *stream && s.is_audio()) {
            let sounds: Vec<String> =
                probe.streams.iter().filter(|s| s.is_audio()).map(Stream::describe).collect();
            let sounds = if sounds.is_empty() { "none".to_owned() } else { sounds.join(", ") };
            let text =
                format!("--audio {stream}: no sound has this number; the source's are: {sounds}");
            return Err(Error::new(Kind::Usage, text));
        }
    }
    let mut sounds = Vec::new();
    let mut refused = None;
    for stream in probe.streams.iter().filter(|stream| stream.is_audio()) {
        match check(stream) {
            Ok(()) => sounds.push(sound(stream, said)),
            Err(error) => {
                notices.push(format!("left out: {error}"));
                refused = refused.or(Some(error));
            }
        }
    }
    if let (true, Some(error)) = (sounds.is_empty(), refused) {
        return Err(error);
    }
    if sounds.len() > limits::SOURCE_SOUNDS {
        for left in sounds.drain(limits::SOURCE_SOUNDS..) {
            notices.push(format!(
                "left out: {}, as a title has at most {} sounds",
                left.stream.describe(),
                limits::SOURCE_SOUNDS
            ));
        }
    }
    appoint(&mut sounds, said);
    Ok(sounds)
}

fn sound(stream: &Stream, said: &[Said]) -> Sound {
    let said = said.iter().rfind(|said| said.stream == stream.index);
    let role = if stream.has("comment") {
        Role::Commentary
    } else if stream.has("visual_impaired") || stream.has("descriptions") {
        Role::Description
    } else if stream.has("dub") {
        Role::Dub
    } else {
        Role::Main
    };
    let declared = || stream.tags.get("language").and_then(|tag| language::parse(tag));
    Sound {
        stream: stream.clone(),
        role: said.and_then(|said| said.role).unwrap_or(role),
        language: said.and_then(|said| said.language.clone()).or_else(declared),
    }
}

/// Orders sounds: what is played unless somebody chooses stands first, what is talk about the film
/// last. The first of each language is its main one, unless it is said to be something else.
fn appoint(sounds: &mut [Sound], said: &[Said]) {
    let is_said_main = |s: &Sound| {
        said.iter().any(|said| said.stream == s.stream.index && said.role == Some(Role::Main))
    };
    sounds.sort_by_key(|s| (s.role != Role::Main, !is_said_main(s), !s.stream.has("default")));
    let mut heard: Vec<Option<String>> = Vec::new();
    for sound in sounds.iter_mut().filter(|sound| sound.role == Role::Main) {
        let tag = sound.language.as_ref().map(|language| language.tag.clone());
        if heard.contains(&tag) {
            sound.role = Role::Alternate;
        }
        heard.push(tag);
    }
    sounds.sort_by_key(|s| matches!(s.role, Role::Commentary | Role::Description));
    if let Some(first) = sounds.first_mut() {
        first.role = Role::Main;
    }
}

fn check(audio: &Stream) -> Result<(), Error> {
    let refuse = |found: &str, remedy: &str| Err(refusal(audio, found, remedy));
    if audio.codec_name.is_none() {
        return refuse("a codec that ffmpeg does not know", "convert the sound first");
    }
    match audio.channels {
        Some(1..=limits::CHANNELS) => Ok(()),
        channels => refuse(
            &format!("{} channels", channels.unwrap_or(0)),
            "mix the sound down to stereo first",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_stream() {
        let said: Said = "1:lang=eng,role=commentary".parse().unwrap();
        assert_eq!((said.stream, said.role), (1, Some(Role::Commentary)));
        assert_eq!(said.language.unwrap().tag, "en");
        for wrong in ["lang=en", "1", "x:lang=en", "1:lang=", "1:role=hero", "1:name=x"] {
            assert!(wrong.parse::<Said>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn roles() {
        let streams = |flags: &[&str]| {
            let streams = (0..).zip(flags).map(|(index, flag)| Stream {
                index,
                codec_type: Some("audio".to_owned()),
                codec_name: Some("aac".to_owned()),
                channels: Some(2),
                disposition: [((*flag).to_owned(), 1)].into(),
                ..Stream::default()
            });
            Probe { streams: streams.collect(), ..Probe::default() }
        };
        let shown = |flags: &[&str], said: &[Said]| {
            let sounds = select(&streams(flags), said, &mut Vec::new()).unwrap();
            let shown = sounds.iter().map(|s| format!("{} {}", s.stream.index, s.role.as_str()));
            shown.collect::<Vec<_>>().join(", ")
        };
        let table: [(&[&str], &str); 5] = [
            (&["none", "default", "comment"], "1 main, 0 alternate, 2 commentary"),
            (&["default", "default"], "0 main, 1 alternate"),
            (&["comment", "none"], "1 main, 0 commentary"),
            (&["visual_impaired", "comment"], "0 main, 1 commentary"),
            (&["default", "descriptions"], "0 main, 1 description"),
        ];
        for (flags, wanted) in table {
            assert_eq!(shown(flags, &[]), wanted, "{flags:?}");
        }
        let said = ["1:role=main".parse().unwrap(), "0:role=commentary".parse().unwrap()];
        assert_eq!(shown(&["default", "none"], &said), "1 main, 0 commentary");
    }
}
