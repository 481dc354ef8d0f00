//! What each resource's bytes are, made from an opened version.

use std::sync::Arc;

use bytes::Bytes;
use headwater_config::Format;
use headwater_packager::ids::TrackId;
use headwater_packager::plan::{self, SegmentPlan};
use headwater_packager::signalling::Protection;
use headwater_packager::timeline::Timeline;
use headwater_packager::title::{Title, Track};
use headwater_packager::{Error, dash, hls};
use http::HeaderValue;

use crate::access::propagate::Along;
use crate::bodies::Bodies;
use crate::cache_tags::Tags;
use crate::chains::Chains;
use crate::etag::EntityTag;
use crate::failure::{Cause, Failure, Part};
use crate::purges::Since;
use crate::representation::{Facts, Representation};
use crate::route::{Manifest, TrackFile};
use crate::segment;
use crate::sources::Sources;
use crate::store::{Key, Store};
use crate::titles::{Cut, Opened};

const HLS_TYPE: &str = "application/vnd.apple.mpegurl";
const DASH_TYPE: &str = "application/dash+xml";
const VIDEO_TYPE: &str = "video/mp4";
const AUDIO_TYPE: &str = "audio/mp4";

/// A version as a profile serves it.
#[derive(Clone, Debug)]
pub struct Served {
    /// The version.
    pub opened: Arc<Opened>,
    /// How it is cut.
    pub cut: Cut,
    /// Its keys, where it leaves under keys.
    pub protection: Option<Arc<Protection>>,
}

impl Served {
    /// Its heads.
    pub fn title(&self) -> &Title {
        &self.opened.title
    }

    fn timeline(&self) -> &Timeline {
        self.opened.timeline(self.cut)
    }

    fn protection(&self) -> Option<&Protection> {
        self.protection.as_deref()
    }

    fn track(&self, track: &TrackId) -> Result<&Track, Failure> {
        self.title().track(track).ok_or(Failure::UnknownTrack)
    }

    /// A manifest for the whole title. `prefix` stands before every URI in it.
    pub fn manifest(&self, manifest: Manifest, prefix: &str) -> Representation {
        let (title, timeline, protection) = (self.title(), self.timeline(), self.protection());
        match manifest {
            Manifest::Hls => {
                let playlist = hls::multivariant(title, timeline, protection, prefix);
                Representation::of_text(HLS_TYPE, playlist)
            }
            Manifest::Dash => {
                let mpd = dash::mpd(title, timeline, protection, prefix);
                Representation::of_text(DASH_TYPE, mpd)
            }
        }
    }

    /// A file of one track.
    pub fn track_file(&self, track: &TrackId, file: TrackFile) -> Result<Representation, Failure> {
        let (track, timeline, protection) =
            (self.track(track)?, self.timeline(), self.protection());
        match file {
            TrackFile::Playlist => {
                Ok(Representation::of_text(HLS_TYPE, hls::media(timeline, track, protection)))
            }
            TrackFile::Iframes => {
                let playlist = hls::iframes(timeline, track, protection);
                Ok(Representation::of_text(HLS_TYPE, playlist.ok_or(Failure::UnknownSegment)?))
            }
            TrackFile::Init(suffix) => {
                let init = match protection {
                    Some(protection) => {
                        let init = protection.init(track, suffix);
                        let init = init.map_err(|error| self.heads_damaged(&error))?;
                        init.ok_or(Failure::UnknownSegment)?
                    }
                    None if suffix.0.is_some() => return Err(Failure::UnknownSegment),
                    // A copy, so that a kept init does not keep all of its title's heads.
                    None => Bytes::copy_from_slice(track.init()),
                };
                Ok(Representation::of_bytes(media_type(track), init))
            }
        }
    }

    fn heads_damaged(&self, error: &Error) -> Failure {
        let key = Key::heads(self.title().id(), self.title().version()).to_string();
        Failure::SourceDamaged(Cause { part: Part::Heads, key, detail: error.to_string() })
    }
}

/// A manifest that passes on a token in its query.
pub fn passing_on(
    manifest: &Representation,
    format: Format,
    along: Along<'_>,
) -> Result<Representation, Failure> {
    let bytes = manifest.body.parts().concat();
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Failure::Internal("a manifest of ours is no text".to_owned()))?;
    let made = match format {
        Format::Hls => Representation::of_text(HLS_TYPE, along.in_playlist(text).into_bytes()),
        Format::Dash => Representation::of_text(DASH_TYPE, along.in_mpd(text).into_bytes()),
    };
    Ok(made.tagged(manifest.facts.tags.clone()))
}

/// A segment before any of its bytes was read.
#[derive(Clone, Debug)]
pub struct Planned {
    /// All that a HEAD tells.
    pub facts: Facts,
    served: Served,
    track: TrackId,
    plan: SegmentPlan,
}

impl Planned {
    /// Plans segment `number` of `track`; `path` is its address.
    pub fn new(
        served: Served,
        track: &TrackId,
        number: u32,
        path: &str,
        tags: Tags,
    ) -> Result<Self, Failure> {
        let cut = served.track(track)?;
        let plan = plan::segment(served.timeline(), cut, number).ok_or(Failure::UnknownSegment)?;
        let facts = Facts {
            content_type: HeaderValue::from_static(media_type(cut)),
            etag: EntityTag::of_content(path, plan.len_bytes, plan.content_tag),
            len_bytes: plan.len_bytes,
            gzip: false,
            tags,
        };
        Ok(Self { facts, served, track: track.clone(), plan })
    }

    /// The version's heads.
    pub fn title(&self) -> &Title {
        self.served.title()
    }

    /// Reads and checks the bytes, if there is room for them, and where they leave under a key
    /// encrypts them.
    pub async fn read(
        self,
        store: Arc<dyn Store>,
        bodies: &Arc<Bodies>,
        (sources, since): (&Sources, Since),
        chains: &Chains,
    ) -> Result<Representation, Failure> {
        let room = bodies.room(self.facts.len_bytes)?;
        let (title, track) = (self.served.title(), self.served.track(&self.track)?);
        // What leaves in the clear lies in the response cache as it is.
        let keep = self.served.protection().is_some();
        let (opened, sources) = (&self.served.opened, (sources, since, keep));
        let clear = segment::read(&store, sources, opened, &self.track, &self.plan).await?;
        let body = match self.served.protection() {
            None => clear.into_iter().collect(),
            Some(protection) => {
                segment::protect(title, track, protection, &self.plan, clear, chains).await?
            }
        };
        Ok(Representation::of_media(self.facts, room.hold(&body)))
    }
}

fn media_type(track: &Track) -> &'static str {
    if track.is_video() { VIDEO_TYPE } else { AUDIO_TYPE }
}
