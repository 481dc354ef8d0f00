//! What each resource's bytes are, made from an opened version.

use std::sync::Arc;

use headwater_config::Format;
use headwater_packager::ids::TrackId;
use headwater_packager::plan::{self, SegmentPlan};
use headwater_packager::title::Track;
use headwater_packager::{dash, hls};
use http::HeaderValue;

use crate::access::propagate::Along;
use crate::bodies::Bodies;
use crate::cache_tags::Tags;
use crate::etag::EntityTag;
use crate::failure::Failure;
use crate::representation::{Facts, Representation};
use crate::route::{Manifest, TrackFile};
use crate::segment;
use crate::store::Store;
use crate::titles::Opened;

const HLS_TYPE: &str = "application/vnd.apple.mpegurl";
const DASH_TYPE: &str = "application/dash+xml";
const VIDEO_TYPE: &str = "video/mp4";
const AUDIO_TYPE: &str = "audio/mp4";

/// A manifest for the whole title. `prefix` stands before every URI in it.
pub fn manifest(
    opened: &Opened,
    segment_ms: u32,
    manifest: Manifest,
    prefix: &str,
) -> Representation {
    let (title, timeline) = (&opened.title, opened.timeline(segment_ms));
    match manifest {
        Manifest::Hls => {
            Representation::of_text(HLS_TYPE, hls::multivariant(title, timeline, prefix))
        }
        Manifest::Dash => Representation::of_text(DASH_TYPE, dash::mpd(title, timeline, prefix)),
    }
}

/// A file of one track.
pub fn track_file(
    opened: &Opened,
    segment_ms: u32,
    track: &TrackId,
    file: TrackFile,
) -> Result<Representation, Failure> {
    let (title, timeline) = (&opened.title, opened.timeline(segment_ms));
    let track = title.track(track).ok_or(Failure::UnknownTrack)?;
    match file {
        TrackFile::Playlist => Ok(Representation::of_text(HLS_TYPE, hls::media(timeline, track))),
        TrackFile::Iframes => {
            let playlist = hls::iframes(timeline, track).ok_or(Failure::UnknownSegment)?;
            Ok(Representation::of_text(HLS_TYPE, playlist))
        }
        // A copy, so that a kept init does not keep all of its title's heads.
        TrackFile::Init => Ok(Representation::of_bytes(media_type(track), track.init().to_vec())),
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
    opened: Arc<Opened>,
    track: TrackId,
    plan: SegmentPlan,
}

impl Planned {
    /// Plans segment `number` of `track`; `path` is its address.
    pub fn new(
        opened: Arc<Opened>,
        segment_ms: u32,
        track: &TrackId,
        number: u32,
        path: &str,
        tags: Tags,
    ) -> Result<Self, Failure> {
        let cut = opened.title.track(track).ok_or(Failure::UnknownTrack)?;
        let timeline = opened.timeline(segment_ms);
        let plan = plan::segment(timeline, cut, number).ok_or(Failure::UnknownSegment)?;
        let facts = Facts {
            content_type: HeaderValue::from_static(media_type(cut)),
            etag: EntityTag::of_content(path, plan.len_bytes, plan.content_tag),
            len_bytes: plan.len_bytes,
            gzip: false,
            tags,
        };
        Ok(Self { facts, opened, track: track.clone(), plan })
    }

    /// Reads and checks the bytes, if there is room for them.
    pub async fn read(
        self,
        store: Arc<dyn Store>,
        bodies: &Arc<Bodies>,
    ) -> Result<Representation, Failure> {
        let room = bodies.room(self.facts.len_bytes)?;
        let title = &self.opened.title;
        let track = title.track(&self.track).ok_or(Failure::UnknownTrack)?;
        let body = segment::read(&*store, title, track, &self.plan).await?;
        Ok(Representation::of_media(self.facts, room.hold(&body)))
    }
}

fn media_type(track: &Track) -> &'static str {
    if track.is_video() { VIDEO_TYPE } else { AUDIO_TYPE }
}
