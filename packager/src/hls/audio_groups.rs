//! Groups of sound renditions: EXT-X-MEDIA (8216bis 4.4.6.1).
//!
//! A variant names one group. Groups have the same members (4.4.6.1.1), so that a viewer keeps
//! language and role wherever the player goes: a group whose codec lacks one borrows it from a
//! group of AAC, which every player has. It borrows no other codec: a variant says every codec of
//! its group (4.4.6.2), players drop a variant of which they lack one, and one commentary in Dolby
//! would take all variants with it. What no AAC track has is therefore a member of its own codec's
//! groups alone.

use std::fmt::Write;

use super::multivariant::Rendition;
use crate::bandwidth::Rates;
use crate::heads::{Media, Role};
use crate::title::Track;

/// How the codec strings of every AAC begin (RFC 6381 3.3).
const AAC: &str = "mp4a.40.";

/// Sound tracks of one codec and as many channels, and what stands in for those it lacks.
pub(super) struct AudioGroup<'a> {
    pub id: String,
    /// In the order of all groups.
    pub members: Vec<Member<'a>>,
}

/// A rendition, and what it is to a viewer.
#[derive(Clone)]
pub(super) struct Member<'a> {
    part: Part<'a>,
    pub rendition: Rendition<'a>,
}

/// What a viewer chooses by: the same in every group.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Part<'a> {
    language: Option<&'a str>,
    role: Role,
    /// Which of several in one group, from 0.
    nth: usize,
}

impl<'a> AudioGroup<'a> {
    /// Every group, none where there is no sound.
    pub fn all(audios: &[Rendition<'a>]) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for &rendition in audios {
            let facts = |r: &Rendition<'a>| (r.track.codecs(), channels(r.track));
            let same = |group: &Self| facts(&group.members[0].rendition) == facts(&rendition);
            let at = groups.iter().position(same).unwrap_or_else(|| {
                let id = format!("audio{}", groups.len() + 1);
                groups.push(Self { id, members: Vec::new() });
                groups.len() - 1
            });
            let (language, role) = (rendition.track.language(), rendition.track.role());
            let alike = |m: &&Member<'a>| (m.part.language, m.part.role) == (language, role);
            let nth = groups[at].members.iter().filter(alike).count();
            let part = Part { language, role, nth };
            groups[at].members.push(Member { part, rendition });
        }
        complete(&mut groups);
        groups
    }

    /// The rendition to start with.
    pub fn default(&self) -> &Member<'a> {
        &self.members[self.default_at()]
    }

    /// The first of the group's first language that is not something else besides: the same in all
    /// groups with the same members, which have one order.
    fn default_at(&self) -> usize {
        let language = self.members[0].part.language;
        let spoken = |m: &Member<'_>| m.part.language == language && m.part.role == Role::Main;
        self.members.iter().position(spoken).unwrap_or(0)
    }

    pub fn write(&self, to: &mut String, prefix: &str) {
        for (at, Member { part, rendition: Rendition { track, .. } }) in
            self.members.iter().enumerate()
        {
            let _ = write!(to, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{}\"", self.id);
            let _ = write!(to, ",NAME=\"{}\"", part.name());
            if let Some(language) = part.language {
                let _ = write!(to, ",LANGUAGE=\"{language}\"");
            }
            // DEFAULT=YES implies AUTOSELECT=YES, which must then be said (8216bis 4.4.6.1).
            to.push_str(if at == self.default_at() { ",DEFAULT=YES" } else { ",DEFAULT=NO" });
            to.push_str(if self.by_itself(at) { ",AUTOSELECT=YES" } else { ",AUTOSELECT=NO" });
            if part.role == Role::Description {
                to.push_str(",CHARACTERISTICS=\"public.accessibility.describes-video\"");
            }
            let _ = write!(to, ",CHANNELS=\"{}\"", channels(track));
            let _ = writeln!(to, ",URI=\"{prefix}{}/index.m3u8\"", track.id());
        }
    }

    /// Whether a player may choose this member by what a viewer prefers: of those that it cannot
    /// tell apart one alone (8216bis 4.4.6.1.1), and never a commentary, unless everything is one.
    fn by_itself(&self, at: usize) -> bool {
        let default = self.default_at();
        let told = |at: usize| {
            let part = self.members[at].part;
            (part.language, part.role == Role::Description)
        };
        let rival = |&other: &usize| {
            self.members[other].part.role != Role::Commentary && told(other) == told(at)
        };
        match told(at) == told(default) {
            true => at == default,
            false => (0..self.members.len()).find(rival) == Some(at),
        }
    }

    /// Every codec of its members, each once.
    pub fn codecs(&self) -> Vec<&'a str> {
        let mut codecs = Vec::new();
        for member in &self.members {
            if !codecs.contains(&member.rendition.track.codecs()) {
                codecs.push(member.rendition.track.codecs());
            }
        }
        codecs
    }

    /// What its costliest member costs.
    pub fn worst(&self) -> Rates {
        let rates = || self.members.iter().map(|member| member.rendition.rates.segments);
        Rates {
            peak_bps: rates().map(|rates| rates.peak_bps).max().unwrap_or(0),
            average_bps: rates().map(|rates| rates.average_bps).max().unwrap_or(0),
        }
    }
}

impl Part<'_> {
    /// NAME: of language and role alone, so it is the same in all groups, and no two of a group
    /// have the same.
    fn name(self) -> String {
        // No language tag has a space.
        let mut name = self.language.unwrap_or("sound track").to_owned();
        if self.role != Role::Main {
            let _ = write!(name, " {}", self.role.as_str());
        }
        if self.nth > 0 {
            let _ = write!(name, " {}", self.nth + 1);
        }
        name
    }
}

/// Gives every group the members of all, in the order in which they were first seen, as far as it
/// has them itself or may borrow them.
fn complete(groups: &mut [AudioGroup<'_>]) {
    let all: Vec<Member<'_>> = groups.iter().flat_map(|group| &group.members).cloned().collect();
    let mut parts: Vec<Part<'_>> = Vec::new();
    for member in &all {
        if !parts.contains(&member.part) {
            parts.push(member.part);
        }
    }
    for group in groups {
        let own = group.members[0].rendition.track.codecs();
        let lends = |codecs: &str| codecs == own || codecs.starts_with(AAC);
        let member = |part: &Part<'_>| {
            let has = |m: &&Member<'_>| m.part == *part;
            let may = |m: &&Member<'_>| has(m) && lends(m.rendition.track.codecs());
            group.members.iter().find(has).or_else(|| all.iter().find(may)).cloned()
        };
        group.members = parts.iter().filter_map(member).collect();
    }
}

/// CHANNELS (8216bis 4.4.6.1): of jointly coded objects their complexity and `JOC`.
fn channels(track: &Track) -> String {
    match (track.joc(), track.media()) {
        (Some(complexity), _) => format!("{complexity}/JOC"),
        (None, Media::Audio { channels, .. }) => channels.to_string(),
        (None, Media::Video { .. }) => "0".to_owned(),
    }
}
