//! The publish task: the committed parts become one object for each track, and the title's pointer
//! leads to them. As often as it is done, and by whomever, the same bytes are written.
//!
//! No byte of a fragment changes on the way: each is compared with its checksum as it is copied, and
//! everything is read back from the store before the pointer is written.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use bytes::Bytes;
use headwater_packager::heads::{ObjectHead, Row, TrackHead};
use headwater_packager::title::{Title, Track};

use super::hold::Bench;
use super::journal::Silent;
use super::plan::Planned;
use super::{part, unreachable};
use crate::error::{Error, Kind};
use crate::job::{Kind as TaskKind, Publication, State, Task};
use crate::limits;
use crate::plan::object_name;
use crate::publish;
use crate::remux::{self, Made};
use crate::version;

/// Publishes; gives the number of the publication that is then in the store.
pub(super) async fn publish(
    bench: &Bench<'_>,
    publication: Option<Publication>,
) -> Result<u64, Error> {
    let Some(Publication { seq, is_last: true, .. }) = publication else {
        return Err(Error::tool("this worker publishes whole titles alone: update it"));
    };
    let worker = bench.worker;
    let store = worker.store.as_ref();
    let planned = worker.planned(bench.job()).await?;
    let title = &planned.title;
    let lease = tokio::select! {
        lease = bench.movement.trust(LEASE_TIME, store.lease(title)) => lease?,
        () = bench.cancel.cancelled() => return Err(Error::interrupted()),
    };
    let published = alone(bench, &planned).await;
    lease.give_back().await;
    published.map(|()| seq)
}

/// A lease in a bucket is waited for as long as its holder may be dead.
const LEASE_TIME: std::time::Duration = std::time::Duration::from_secs(120);

/// The same, while nobody else writes the title.
async fn alone(bench: &Bench<'_>, planned: &Planned) -> Result<(), Error> {
    let (worker, version) = (bench.worker, bench.job());
    let (store, title) = (worker.store.as_ref(), &planned.title);
    let before = publish::pointer(store, title).await?;
    let live = before.as_ref().and_then(|pointer| pointer.live);
    // Ids rise with time: what was asked for later is not displaced by what was asked for before.
    if let Some(later) = live.filter(|live| *live > version) {
        let text =
            format!("{title} has a later version, {later}: this one does not take its place");
        worker.journal.task(&bench.hold.key, bench.hold.attempt, "superseded", &text);
        return Ok(());
    }
    if live == Some(version) {
        // Written by an attempt whose answer was lost.
        return Ok(());
    }
    let tracks = join(bench, planned).await?;
    let access_class = before.and_then(|pointer| pointer.access_class);
    let heads = publish::heads(title, version, access_class, &tracks)?;
    let facts = Bytes::from(planned.facts.clone());
    let mut texts = Vec::new();
    for (text, webvtt) in &planned.texts {
        let mut text = text.clone();
        text.webvtt = webvtt.clone().into_bytes();
        texts.push(text);
    }
    publish::write_texts(store, title, version, &texts).await?;
    let len_bytes = tracks.iter().map(|track| track.object().len_bytes).sum();
    let written = publish::write(store, title, version, &tracks, &facts, &heads, bench.cancel);
    bench.movement.trust(part::upload_time(len_bytes), written).await?;
    let mut read = |len_bytes| bench.movement.bytes(len_bytes);
    let whole = (&facts, &heads);
    publish::read_back(store, title, version, whole, bench.cancel, &mut read).await?;
    bench.cancel.check()?;
    publish::go_live(store, title, version).await?;
    version::retire(store, title, live, &worker.config, &Silent).await;
    Ok(())
}

/// Every track as one file in the work folder.
async fn join(bench: &Bench<'_>, planned: &Planned) -> Result<Vec<Made>, Error> {
    let tasks = bench.worker.queue.tasks(bench.job()).await.map_err(unreachable)?;
    let chunks = opened(bench, &tasks, TaskKind::Chunk).await?;
    let sounds = opened(bench, &tasks, TaskKind::Audio).await?;
    let mut made = Vec::new();
    for rung in &planned.plan.rungs {
        let parts: Option<Vec<&Track>> =
            chunks.iter().map(|part| part.track(&rung.track)).collect();
        let parts = parts.ok_or_else(|| missing(&rung.track))?;
        made.push(join_track(bench, &parts, planned.plan.grid.fragments()).await?);
    }
    for sound in &planned.plan.sounds {
        let part = sounds.iter().find_map(|part| part.track(&sound.track));
        let part = part.ok_or_else(|| missing(&sound.track))?;
        made.push(join_track(bench, &[part], sound.grid.fragments()).await?);
    }
    for passed in &planned.plan.passed {
        // One that could not be passed through was left out by its task.
        if let Some(part) = sounds.iter().find_map(|part| part.track(&passed.sound.track)) {
            made.push(join_track(bench, &[part], part.fragments()).await?);
        }
    }
    Ok(made)
}

fn missing(track: &headwater_packager::ids::TrackId) -> Error {
    Error::new(Kind::StoredDamage, format!("no part of {track} is committed"))
}

/// The committed parts of one kind, in order.
async fn opened(bench: &Bench<'_>, tasks: &[Task], kind: TaskKind) -> Result<Vec<Title>, Error> {
    let mut parts = Vec::new();
    for task in tasks.iter().filter(|task| task.key.kind == kind && task.state == State::Done) {
        bench.cancel.check()?;
        let result = task.result.as_deref().unwrap_or_default();
        if result == part::LEFT_OUT {
            continue;
        }
        parts.push(part::open(bench.worker.store.as_ref(), bench.job(), result).await?);
        bench.movement.bytes(1);
    }
    Ok(parts)
}

/// One track's parts as one file: `ftyp moov sidx`, then the fragments as they are.
async fn join_track(bench: &Bench<'_>, parts: &[&Track], fragments: u32) -> Result<Made, Error> {
    let first = parts.first().ok_or_else(|| Error::tool("a track without parts"))?;
    let id = first.id().clone();
    if let Some(other) = parts.iter().find(|part| part.init() != first.init()) {
        let at = parts.iter().position(|part| std::ptr::eq(*part, *other)).unwrap_or(0);
        return Err(Error::tool(format!(
            "part {at} of {id} has another header than part 0: they come from different encoders"
        )));
    }
    let rows: Vec<Row> = parts.iter().flat_map(|part| part.rows(0..part.fragments())).collect();
    if u32::try_from(rows.len()).ok() != Some(fragments) {
        let text = format!("{id}: expected {fragments} fragments, got {}", rows.len());
        return Err(Error::new(Kind::StoredDamage, text));
    }
    let path = bench.work.folder().join(object_name(&id));
    let sidx = remux::index(first.timescale(), rows.iter().copied())?;
    let media_offset_bytes = len_u64(first.init()) + len_u64(&sidx);
    let storage = |e: std::io::Error| Error::storage(path.display(), e);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&path).map_err(storage)?);
    out.write_all(first.init()).and_then(|()| out.write_all(&sidx)).map_err(storage)?;
    let mut len_bytes = media_offset_bytes;
    for part in parts {
        len_bytes += copy(bench, part, &mut out, &path).await?;
    }
    out.flush().map_err(storage)?;
    let object = ObjectHead { name: object_name(&id), len_bytes, media_offset_bytes, fragments };
    let head = TrackHead { objects: vec![object], ..head(first) };
    Ok(Made { head, init: first.init().to_vec(), rows, path })
}

/// Copies a part's fragments, some of them at a time, each as its checksum says.
async fn copy(
    bench: &Bench<'_>,
    part: &Track,
    out: &mut impl Write,
    path: &Path,
) -> Result<u64, Error> {
    let object = part.objects().first().expect("a part is one object");
    let key = part::key(bench.job(), &object.name);
    let (mut at, mut i) = (object.media_offset_bytes, 0);
    while i < part.fragments() {
        bench.cancel.check()?;
        let mut batch = Vec::new();
        let mut len_bytes = 0;
        while i < part.fragments() && (batch.is_empty() || len_bytes < limits::READ_BYTES) {
            let row = part.row(i);
            len_bytes += u64::from(row.size_bytes);
            batch.push(row);
            i += 1;
        }
        let bytes = bench.worker.store.read(&key, at..at + len_bytes).await?;
        let mut rest = &bytes[..];
        for row in batch {
            let size = usize::try_from(row.size_bytes).expect("u32 fits");
            let checked = rest.split_at_checked(size);
            let fragment = checked.filter(|(fragment, _)| crc32c::crc32c(fragment) == row.crc32c);
            let (fragment, after) = fragment.ok_or_else(|| {
                Error::new(
                    Kind::StoredDamage,
                    format!("{key}: a fragment of it is not what was committed; retry the job"),
                )
            })?;
            out.write_all(fragment).map_err(|e| Error::storage(path.display(), e))?;
            rest = after;
        }
        at += len_bytes;
        bench.movement.bytes(len_bytes);
    }
    Ok(at - object.media_offset_bytes)
}

/// What heads say of an opened track.
fn head(track: &Track) -> TrackHead {
    TrackHead {
        id: track.id().clone(),
        media: track.media().clone(),
        codecs: track.codecs().to_owned(),
        timescale: track.timescale(),
        language: track.language().map(str::to_owned),
        role: track.role(),
        colour: track.colour(),
        joc: track.joc(),
        layout: track.layout(),
        independent: track.is_independent(),
        start_offset_ticks: 0,
        init_bytes: 0,
        objects: Vec::new(),
    }
}

fn len_u64(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("a length fits")
}
