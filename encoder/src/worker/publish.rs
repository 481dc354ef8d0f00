//! The publish task: the committed parts become one object for each track, and the title's pointer
//! leads to them. As often as it is done, and by whomever, the same bytes are written.
//!
//! No byte of a fragment changes on the way: each is compared with its checksum as it is copied, and
//! everything is read back from the store before the pointer is written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use bytes::Bytes;
use headwater_packager::heads::{ObjectHead, Row, TrackHead};
use headwater_packager::ids::{TrackId, VersionId};
use headwater_packager::title::{Title, Track};

use super::chunk::blocking;
use super::hold::Bench;
use super::plan::Planned;
use super::{part, unreachable};
use crate::error::{Error, Kind};
use crate::job::{Fault, Kind as TaskKind, Publication, State, Task, TaskKey};
use crate::limits;
use crate::plan::object_name;
use crate::publish::{self, Product, Went};
use crate::remux::{self, Made};
use crate::report::{Meter, Stage};
use crate::store::Store;
use crate::text::Text;
use crate::work;

/// What became of a publication.
pub(super) enum Ended {
    /// The one with this number is in the store.
    Written(u64),
    /// The title has this later version, which stays: in words, too.
    Superseded(VersionId, Error),
    /// What this task made is damaged or gone, as is told, and is to be made again first.
    Spoiled(TaskKey, Error),
}

/// Why a title could not be put together.
enum Trouble {
    /// A part is not what was committed.
    Spoiled(TaskKey, Error),
    /// Anything else.
    Other(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// Publishes. What a failed attempt wrote is taken back, unless its pointer may still arrive.
pub(super) async fn publish(
    bench: &Bench<'_>,
    publication: Option<Publication>,
) -> Result<Ended, Error> {
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
    let is_over = match &published {
        Ok(later) => later.is_some(),
        Err(Trouble::Spoiled(..)) => false,
        Err(Trouble::Other(error)) => Fault::of(error).is_some() && !error.is_unsure(),
    };
    if is_over && let Err(error) = work::take_back(store, title, bench.job()).await {
        let text = format!("{}: {error}", bench.job());
        worker.journal.task(&bench.hold.key, bench.hold.attempt, "not taken back", &text);
    }
    lease.give_back().await;
    match published {
        Ok(None) => Ok(Ended::Written(seq)),
        Ok(Some(later)) => Ok(Ended::Superseded(later, publish::superseded(title, later))),
        Err(Trouble::Spoiled(part, error)) => Ok(Ended::Spoiled(part, error)),
        Err(Trouble::Other(error)) => Err(error),
    }
}

/// A lease in a bucket is waited for as long as its holder may be dead.
const LEASE_TIME: std::time::Duration = std::time::Duration::from_secs(120);

/// The same, while nobody else writes the title; gives the later version that stays, if there is one.
async fn alone(bench: &Bench<'_>, planned: &Planned) -> Result<Option<VersionId>, Trouble> {
    let (worker, version) = (bench.worker, bench.job());
    let (store, title) = (worker.store.as_ref(), &planned.title);
    let live = publish::pointer(store, title).await?.and_then(|pointer| pointer.live);
    if let Some(later) = publish::later(live, version) {
        return Ok(Some(later));
    }
    if live == Some(version) {
        // Written by an attempt whose answer was lost.
        return Ok(None);
    }
    let report = worker.watcher.report();
    let tracks = join(bench, planned).await?;
    let facts = facts(bench, planned).await?;
    let whole = |(text, webvtt): &(Text, String)| {
        let webvtt = webvtt.clone().into_bytes();
        Text { webvtt, ..text.clone() }
    };
    let texts = planned.texts.iter().map(whole).collect();
    let product = Product { tracks, texts, facts, duration_ms: planned.plan.grid.duration_ms() };
    let len_bytes = product.tracks.iter().map(|track| track.object().len_bytes).sum();
    let on_bytes = |len_bytes| bench.movement.bytes(len_bytes);
    let watch = publish::Watch { report, on_bytes: &on_bytes, cancel: bench.cancel };
    let written = publish::version(store, (title, version), &product, &watch);
    match bench.movement.trust(part::upload_time(len_bytes), written).await? {
        Went::Superseded(later) => Ok(Some(later)),
        Went::Live(before) => {
            worker.watcher.published(&product);
            publish::retire(store, title, before, &worker.config, report.as_ref()).await;
            Ok(None)
        }
    }
}

/// What one task committed.
struct Part {
    task: TaskKey,
    title: Title,
}

/// A track in a part.
#[derive(Clone, Copy)]
struct Piece<'a> {
    task: TaskKey,
    track: &'a Track,
}

/// `facts.json`, with what the tasks have found out since it was planned.
async fn facts(bench: &Bench<'_>, planned: &Planned) -> Result<Bytes, Error> {
    let tasks = bench.worker.queue.tasks(bench.job()).await.map_err(unreachable)?;
    let mut notices = Vec::new();
    let mut said: Vec<String> = Vec::new();
    for result in tasks.iter().filter_map(|task| task.result.as_deref()) {
        notices.extend(result.strip_prefix(part::LEFT_OUT).map(str::to_owned));
        for heard in part::committed(result).unwrap_or_default().into_iter().map(|part| part.heard)
        {
            notices.extend(heard.notices);
            for line in heard.ffmpeg {
                if said.len() < limits::LOG_LINES && !said.contains(&line) {
                    said.push(line);
                }
            }
        }
    }
    let damaged = |e| Error::new(Kind::StoredDamage, format!("the plan's facts: {e}"));
    let mut facts: serde_json::Value = serde_json::from_str(&planned.facts).map_err(damaged)?;
    for (key, more) in [("notices", notices), ("ffmpeg_said", said)] {
        if let Some(all) = facts.get_mut(key).and_then(|all| all.as_array_mut()) {
            all.extend(more.into_iter().map(serde_json::Value::from));
        }
    }
    Ok(serde_json::to_vec_pretty(&facts).expect("facts are plain data").into())
}

/// Every track as one file in the work folder.
async fn join(bench: &Bench<'_>, planned: &Planned) -> Result<Vec<Made>, Trouble> {
    let tasks = bench.worker.queue.tasks(bench.job()).await.map_err(unreachable)?;
    let chunks = opened(bench, &tasks, TaskKind::Chunk).await?;
    let sounds = opened(bench, &tasks, TaskKind::Audio).await?;
    let mut lots = Vec::new();
    if let Some(rung) = &planned.plan.copied {
        let piece = sounds.iter().find_map(|part| part.piece(&rung.track));
        let piece = piece.ok_or_else(|| missing(&rung.track))?;
        lots.push((vec![piece], planned.plan.grid.fragments()));
    }
    for rung in &planned.plan.rungs {
        let pieces: Option<Vec<_>> = chunks.iter().map(|part| part.piece(&rung.track)).collect();
        let pieces = pieces.ok_or_else(|| missing(&rung.track))?;
        lots.push((pieces, planned.plan.grid.fragments()));
    }
    for sound in &planned.plan.sounds {
        let pieces = Vec::from_iter(sounds.iter().filter_map(|part| part.piece(&sound.track)));
        if pieces.is_empty() {
            return Err(missing(&sound.track).into());
        }
        lots.push((pieces, sound.grid.fragments()));
    }
    for passed in &planned.plan.passed {
        // One that could not be passed through was left out by its task.
        if let Some(piece) = sounds.iter().find_map(|part| part.piece(&passed.sound.track)) {
            lots.push((vec![piece], piece.track.fragments()));
        }
    }
    let meter = Meter::start(bench.worker.watcher.report(), Stage::Package);
    let mut made = Vec::new();
    for (i, (pieces, fragments)) in (1..).zip(&lots) {
        made.push(join_track(bench, pieces, *fragments).await?);
        meter.of(i, u64::try_from(lots.len()).expect("a count fits"));
    }
    Ok(made)
}

impl Part {
    fn piece(&self, track: &TrackId) -> Option<Piece<'_>> {
        Some(Piece { task: self.task, track: self.title.track(track)? })
    }
}

fn missing(track: &TrackId) -> Error {
    Error::new(Kind::StoredDamage, format!("no part of {track} is committed"))
}

/// The committed parts of one kind, in order; of a sound its runs.
async fn opened(bench: &Bench<'_>, tasks: &[Task], kind: TaskKind) -> Result<Vec<Part>, Trouble> {
    let mut parts = Vec::new();
    for task in tasks.iter().filter(|task| task.key.kind == kind && task.state == State::Done) {
        bench.cancel.check()?;
        let result = task.result.as_deref().unwrap_or_default();
        if result.starts_with(part::LEFT_OUT) {
            continue;
        }
        let trouble = |error: Error| match error.kind() {
            Kind::StoredDamage => Trouble::Spoiled(task.key, error),
            _ => Trouble::Other(error),
        };
        for committed in part::committed(result).map_err(trouble)? {
            let title = part::open(bench.worker.store.as_ref(), bench.job(), &committed).await;
            parts.push(Part { task: task.key, title: title.map_err(trouble)? });
            bench.movement.bytes(1);
        }
    }
    Ok(parts)
}

/// One track's parts as one file: `ftyp moov sidx`, then the fragments as they are.
async fn join_track(
    bench: &Bench<'_>,
    pieces: &[Piece<'_>],
    fragments: u32,
) -> Result<Made, Trouble> {
    let first = pieces.first().ok_or_else(|| Error::tool("a track without parts"))?.track;
    let id = first.id().clone();
    if let Some(odd) = odd_one(pieces) {
        let text = format!("{odd} has another header of {id} than other parts");
        return Err(Trouble::Spoiled(odd, Error::tool(text)));
    }
    let tracks = || pieces.iter().map(|piece| piece.track);
    let rows: Vec<Row> = tracks().flat_map(|track| track.rows(0..track.fragments())).collect();
    if u32::try_from(rows.len()).ok() != Some(fragments) {
        let text = format!("{id}: expected {fragments} fragments, got {}", rows.len());
        return Err(Error::new(Kind::StoredDamage, text).into());
    }
    let path = bench.work.folder().join(object_name(&id));
    let sidx = remux::index(first.timescale(), rows.iter().copied())?;
    let media_offset_bytes = len_u64(first.init()) + len_u64(&sidx);
    let mut out = Out::create(path.clone(), [&first.init()[..], &sidx].concat(), bench).await?;
    let mut len_bytes = media_offset_bytes;
    for piece in pieces {
        len_bytes += copy(bench, *piece, &mut out).await?;
    }
    out.flush(bench).await?;
    let object = ObjectHead { name: object_name(&id), len_bytes, media_offset_bytes, fragments };
    let head = TrackHead { objects: vec![object], ..head(first) };
    Ok(Made { head, init: first.init().to_vec(), rows, path })
}

/// The first part whose header is not that of the most.
fn odd_one(pieces: &[Piece<'_>]) -> Option<TaskKey> {
    let mut headers: BTreeMap<&[u8], usize> = BTreeMap::new();
    for piece in pieces {
        *headers.entry(piece.track.init()).or_default() += 1;
    }
    let (usual, _) = headers.into_iter().max_by_key(|(_, parts)| *parts)?;
    pieces.iter().find(|piece| piece.track.init() != usual).map(|piece| piece.task)
}

/// Copies a part's fragments, some of them at a time, each as its checksum says.
async fn copy(bench: &Bench<'_>, piece: Piece<'_>, out: &mut Out) -> Result<u64, Trouble> {
    let Piece { task, track } = piece;
    let object = track.objects().first().expect("a part is one object");
    let key = part::key(bench.job(), &object.name);
    let (mut at, mut i) = (object.media_offset_bytes, 0);
    while i < track.fragments() {
        bench.cancel.check()?;
        let mut batch = Vec::new();
        let mut len_bytes = 0;
        while i < track.fragments() && (batch.is_empty() || len_bytes < limits::READ_BYTES) {
            let row = track.rows(i..i + 1).next().expect("within its fragments");
            len_bytes += u64::from(row.size_bytes);
            batch.push(row);
            i += 1;
        }
        let store = bench.worker.store.as_ref();
        let bytes = match store.read(&key, at..at + len_bytes).await {
            Ok(bytes) => bytes,
            Err(error) if is_gone(store, bench.job(), &key).await => {
                return Err(Trouble::Spoiled(task, error));
            }
            Err(error) => return Err(error.into()),
        };
        if !are_whole(&bytes, &batch) {
            let text = format!("{key}: a fragment of it is not what was committed");
            return Err(Trouble::Spoiled(task, Error::new(Kind::StoredDamage, text)));
        }
        out.write(bytes, bench).await?;
        at += len_bytes;
        bench.movement.bytes(len_bytes);
    }
    Ok(at - object.media_offset_bytes)
}

/// Whether a store that can be asked does not have an object of a job.
async fn is_gone(store: &dyn Store, job: VersionId, key: &str) -> bool {
    let listed = store.list(&part::prefix(job)).await;
    listed.is_ok_and(|listed| listed.iter().all(|entry| entry.key != key))
}

/// Whether bytes are the fragments of these rows, one behind the other.
fn are_whole(bytes: &[u8], rows: &[Row]) -> bool {
    let mut rest = bytes;
    rows.iter().all(|row| {
        let size = usize::try_from(row.size_bytes).expect("u32 fits");
        let Some((fragment, after)) = rest.split_at_checked(size) else { return false };
        rest = after;
        crc32c::crc32c(fragment) == row.crc32c
    }) && rest.is_empty()
}

/// A file that is written off the async thread: a slow disk would else stop the beats of all tasks.
struct Out {
    path: PathBuf,
    /// Away while it is written.
    file: Option<BufWriter<File>>,
}

impl Out {
    async fn create(path: PathBuf, start: Vec<u8>, bench: &Bench<'_>) -> Result<Self, Error> {
        let made = path.clone();
        let make = move || {
            let file = File::create_new(&made).map_err(|e| Error::storage(made.display(), e))?;
            Ok(BufWriter::with_capacity(1 << 20, file))
        };
        let file = Some(blocking(make, bench.cancel).await?);
        let mut out = Self { path, file };
        out.write(start.into(), bench).await?;
        Ok(out)
    }

    async fn write(&mut self, bytes: Bytes, bench: &Bench<'_>) -> Result<(), Error> {
        self.with(bench, move |file| file.write_all(&bytes)).await
    }

    async fn flush(&mut self, bench: &Bench<'_>) -> Result<(), Error> {
        self.with(bench, BufWriter::flush).await
    }

    async fn with(
        &mut self,
        bench: &Bench<'_>,
        work: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()> + Send + 'static,
    ) -> Result<(), Error> {
        let mut file = self.file.take().ok_or_else(Error::interrupted)?;
        let shown = self.path.display().to_string();
        let write = move || match work(&mut file) {
            Ok(()) => Ok(file),
            Err(e) => Err(Error::storage(shown, e)),
        };
        self.file = Some(blocking(write, bench.cancel).await?);
        Ok(())
    }
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
