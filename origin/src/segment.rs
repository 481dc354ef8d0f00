//! Media: from a plan to checked bytes. In the clear a segment is its source bytes as they lie in
//! the store; nothing is copied. Under a key it has new heads, and a payload that is encrypted
//! where it lies: what came from several objects, or grows by padding, is copied together first.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use headwater_packager::ids::TrackId;
use headwater_packager::plan::{self, SegmentPlan, SourceRange};
use headwater_packager::signalling::Protection;
use headwater_packager::title::{Title, Track};

use crate::chains::Chains;
use crate::failure::{Cause, Failure, Part};
use crate::limits;
use crate::purges::Since;
use crate::slices::Slices;
use crate::sources::Sources;
use crate::store::{Fault, Key, Store};
use crate::titles::Opened;

/// Reads what a plan names, one read for each object unless it lies in memory, and checks every
/// fragment; whether what was read is kept there.
pub async fn read(
    store: &Arc<dyn Store>,
    (sources, since, keep): (&Sources, Since, bool),
    opened: &Arc<Opened>,
    track_id: &TrackId,
    plan: &SegmentPlan,
) -> Result<Vec<Bytes>, Failure> {
    let title = &opened.title;
    let track = title.track(track_id).ok_or(Failure::UnknownTrack)?;
    let mut parts = Vec::with_capacity(plan.reads.len());
    for read in &plan.reads {
        let object = &track.objects()[read.object];
        let key = Key::media(title.id(), title.version(), &object.name);
        if plan.len_bytes > limits::SEGMENT_BYTES {
            let detail =
                format!("a segment of {} bytes, at most {}", plan.len_bytes, limits::SEGMENT_BYTES);
            return Err(damaged(&key, detail));
        }
        // What is kept is read to its end, whoever leaves: it holds what it needs.
        let (of, range) = (key.to_string(), read.bytes.clone());
        let (store, opened) = (Arc::clone(store), Arc::clone(opened));
        let (track_id, read) = (track_id.clone(), read.clone());
        let checked = async move {
            let track = opened.title.track(&track_id).ok_or(Failure::UnknownTrack)?;
            checked(&*store, &key, track, &read).await
        };
        parts.push(sources.read(&of, (&range, plan.content_tag), (since, keep), checked).await?);
    }
    Ok(parts)
}

async fn checked(
    store: &dyn Store,
    key: &Key,
    track: &Track,
    read: &SourceRange,
) -> Result<Bytes, Failure> {
    let bytes = store.read_range(key, read.bytes.clone()).await;
    let bytes = bytes.map_err(|e| match e.fault {
        Fault::NotFound => Failure::MediaMissing(cause(key, e.detail)),
        _ => e.into_failure(Part::Media, key.as_str()),
    })?;
    let checked = plan::verify(track, read, &bytes);
    checked.map_err(|damage| damaged(key, damage.to_string()))?;
    Ok(bytes)
}

/// Encrypts what was read.
pub async fn protect(
    title: &Title,
    track: &Track,
    protection: &Protection,
    plan: &SegmentPlan,
    clear: Vec<Bytes>,
    chains: &Chains,
) -> Result<Slices, Failure> {
    let protector = &protection.of(track, plan.number).protector;
    let slices: Slices = if protector.is_whole() {
        let bytes = together(clear, plan.len_bytes);
        chains.encrypt(protector, plan.number, bytes).await?.freeze().into()
    } else {
        let first = plan.reads.first().map_or(0, |read| read.fragments.start);
        // The payload keeps its length, and heads that grow are written elsewhere.
        let bytes = together(clear, 0);
        let made = protector.segment(track, plan.number, first, bytes);
        made.map_err(|error| {
            let object = &track.objects()[plan.reads.first().map_or(0, |read| read.object)];
            damaged(&Key::media(title.id(), title.version(), &object.name), error.to_string())
        })?
        .into_iter()
        .collect()
    };
    if slices.len_bytes() != plan.len_bytes {
        let detail = format!("encrypted to {}, planned {}", slices.len_bytes(), plan.len_bytes);
        return Err(Failure::Internal(detail));
    }
    Ok(slices)
}

/// All parts as one that may be written to, with room for the `len_bytes` that it will be, if that is
/// more than it is. What the store gave as one piece is nobody else's, and is not copied.
fn together(mut parts: Vec<Bytes>, len_bytes: u64) -> BytesMut {
    if parts.len() == 1
        && let Some(part) = parts.pop()
    {
        match part.try_into_mut() {
            // Room that it takes later would be twice what it has, and more than is accounted for.
            Ok(own) if own.capacity() as u64 >= len_bytes => return own,
            Ok(own) => parts.push(own.freeze()),
            Err(shared) => parts.push(shared),
        }
    }
    let clear_bytes = parts.iter().map(Bytes::len).sum();
    let len_bytes = usize::try_from(len_bytes).unwrap_or_default();
    let mut bytes = BytesMut::with_capacity(len_bytes.max(clear_bytes));
    // Each part goes when it was copied.
    parts.into_iter().for_each(|part| bytes.extend_from_slice(&part));
    bytes
}

fn damaged(key: &Key, detail: String) -> Failure {
    Failure::SourceDamaged(cause(key, detail))
}

fn cause(key: &Key, detail: String) -> Cause {
    Cause { part: Part::Media, key: key.to_string(), detail }
}
