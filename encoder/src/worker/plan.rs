//! The plan task: looks at the source once, for everybody. What it found and decided is one object,
//! from which every chunk is made alike wherever it is made.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headwater_packager::ids::{TitleId, VersionId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::hold::Bench;
use super::source::{Local, folders};
use super::{Worker, copied, part, texts, unreachable};
use crate::chunks::{self, Lengths};
use crate::error::{Error, Kind};
use crate::facts::Facts;
use crate::fetch::{self, Object, Reach};
use crate::ffmpeg::Log;
use crate::ffmpeg::part::Cut;
use crate::job;
use crate::limits;
use crate::look::{self, Prepared, Wanted};
use crate::plan::Plan;
use crate::points::Points;
use crate::source::{Said, Timing};
use crate::store::Store;
use crate::text::{Sidecar, Text};

/// What a plan task found and decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// The title.
    pub title: TitleId,
    /// The plan; its input is a path on the machine that planned.
    pub plan: Plan,
    /// Bytes of the source: another one has another plan.
    pub source_bytes: u64,
    /// CRC32C of its first, middle and last bytes: another one of that length has another plan too.
    pub source_crc32c: u32,
    /// Where its decoding can begin.
    pub points: Points,
    /// What each of its streams that are taken is called, for messages.
    pub streams: BTreeMap<u32, String>,
    /// How many of its frames each chunk is made of, where that is not what the plan says: of a rate
    /// that varies.
    pub held: Vec<u64>,
    /// Texts of the title, and the bytes of each.
    pub texts: Vec<(Text, String)>,
    /// `facts.json`.
    pub facts: String,
    /// The object that the source is, where it is no file.
    #[serde(default)]
    pub object: Option<Object>,
    /// What of it each chunk needs, where that is known.
    #[serde(default)]
    pub reach: Option<Reach>,
}

/// The queue's word for it.
#[derive(Serialize, Deserialize)]
struct Committed {
    plan: String,
    crc32c: u32,
}

impl Planned {
    /// Reads a committed plan.
    /// Says how many bytes it is stored in, too.
    pub(super) async fn read(
        store: &dyn Store,
        job: VersionId,
        words: &str,
    ) -> Result<(Self, usize), Error> {
        let damaged = |what: serde_json::Error| {
            Error::new(Kind::StoredDamage, format!("the plan of {job}: {what}"))
        };
        let Committed { plan, crc32c } = serde_json::from_str(words).map_err(damaged)?;
        let key = part::key(job, &plan);
        let bytes = part::whole(store, &key, limits::PLAN_BYTES, crc32c).await;
        let bytes = bytes.map_err(|error| match error.kind() {
            // Parts were made from it that may be seen: another one would not be the same.
            Kind::StoredDamage => Error::new(
                Kind::StoredDamage,
                format!("the plan of {job}: {error}; cancel the job and submit it again"),
            ),
            _ => error,
        })?;
        Ok((serde_json::from_slice(&bytes).map_err(damaged)?, bytes.len()))
    }

    /// What a stream of the source is called.
    pub(super) fn stream(&self, index: u32) -> String {
        self.streams.get(&index).map_or_else(|| format!("stream {index}"), Clone::clone)
    }

    /// What of an object has to be here for a part of the title.
    pub(super) fn needs(&self, cut: &Cut<'_>) -> Vec<Range<u64>> {
        let base = self.plan.source.video.start.base;
        let from = cut.from.map(|from| from.shown);
        let of = |reach: &Reach| reach.of(from, cut.clock_s().end, base);
        self.reach.as_ref().map_or_else(|| std::iter::once(0..u64::MAX).collect(), of)
    }

    /// The file on this machine, which must be the one that was planned for.
    pub(super) fn source(&self) -> Result<PathBuf, Error> {
        let input = &self.plan.input;
        let len_bytes = length(input)?;
        if len_bytes != self.source_bytes {
            return Err(Error::new(
                Kind::SourceDamaged,
                format!(
                    "{} has {len_bytes} bytes, and had {} when it was planned for; submit it again",
                    input.display(),
                    self.source_bytes
                ),
            ));
        }
        if sampled(input, len_bytes)? != self.source_crc32c {
            return Err(Error::new(
                Kind::SourceDamaged,
                format!(
                    "{} is not the file that was planned for, although as long; submit it again",
                    input.display()
                ),
            ));
        }
        Ok(input.clone())
    }
}

/// Plans a job, and stores the plan.
pub(super) async fn plan(bench: &Bench<'_>) -> Result<job::Plan, Error> {
    let Worker { queue, config, tools, name, store, .. } = bench.worker;
    let view = queue.job(bench.job()).await.map_err(unreachable)?.job;
    let source = Local::found(bench, &view.input).await?;
    let input = source.path().to_owned();
    let said = parsed::<Said>("audio", &view.audio)?;
    let mut sidecars = parsed::<Sidecar>("text", &view.texts)?;
    for sidecar in &mut sidecars {
        sidecar.path = within(&sidecar.path, &folders(&config.api.inputs))?;
    }
    let source_bytes = length(&input)?;
    let source_crc32c = sampled(&input, source_bytes)?;
    let report = bench.worker.watcher.report();
    let folder = bench.work.folder();
    let looked = async {
        let wanted = Wanted { input: &input, said: &said, sidecars: &sidecars };
        let prepared = look::prepare(&wanted, tools, config, report, bench.cancel).await?;
        let mut notices = prepared.notices.clone();
        let texts = texts::texts(bench, &prepared, &mut notices).await?;
        Ok::<_, Error>((prepared, texts, notices))
    };
    // Each child that reads the source is watched by itself.
    let looked = bench.movement.trust(LOOKING, looked).await;
    let (mut prepared, texts, mut notices) = looked.map_err(|error| source.named(error))?;
    if let Some(why) = copied::refused(bench, &prepared.plan, &input).await? {
        let mut plan = Plan::clone(&prepared.plan);
        plan.encode_top();
        bench
            .tell(format!("the picture is encoded in every size, not copied: {why}"), &mut notices);
        prepared.plan = Arc::new(plan);
    }
    let whole = |text: Text| {
        let webvtt = String::from_utf8_lossy(&text.webvtt).into_owned();
        (text, webvtt)
    };
    let plan = Plan::clone(&prepared.plan);
    let video = &prepared.plan.source.video;
    let grid = plan.grid;
    let whole_tracks = plan.sounds.len() + plan.passed.len() + plan.copied.iter().len();
    let lengths = match plan.source.video.is_guessed {
        // Frames are told by their times, which such a source has only from its start on.
        true => Lengths::whole(),
        false => Lengths { most_ms: config.queue.chunk_ms, ..Lengths::default() },
    };
    let chunks = chunks::cut(&grid, &lengths);
    let held = held(&prepared, &chunks);
    // What runs is chunk after chunk; the first one's options stand for all.
    let options = match chunks.first() {
        Some(span) => {
            let (plan, fragments) = (&*prepared.plan, span.fragments.clone());
            let cut = Cut { plan, input: &plan.input, fragments, from: None };
            crate::ffmpeg::part::chunk(&cut, folder, tools.threads)
        }
        None => Vec::new(),
    };
    notices.push(format!("made in {} chunks, each with a decoder of its own", chunks.len()));
    let facts = Facts {
        title: &view.title,
        version: bench.job(),
        probe: &prepared.probe,
        plan: &prepared.plan,
        ffmpeg: &prepared.ffmpeg,
        args: &options,
        folder,
        log: &Log::default(),
        notices: &notices,
        texts: &texts,
    };
    let facts = String::from_utf8_lossy(&facts.to_json()?).into_owned();
    let planned = Planned {
        title: view.title.clone(),
        plan,
        source_bytes,
        source_crc32c,
        streams: named(&prepared),
        points: Points::new(prepared.scan.points(), video.start.base),
        held,
        texts: texts.into_iter().map(whole).collect(),
        facts,
        object: source.object().cloned(),
        reach: reach(&prepared, &source)?,
    };
    bench.worker.watcher.planned(&planned);
    let bytes = Bytes::from(serde_json::to_vec(&planned).expect("plain data"));
    if bytes.len() > limits::PLAN_BYTES {
        let text = format!("its plan fills {} bytes, at most {}", bytes.len(), limits::PLAN_BYTES);
        return Err(Error::new(Kind::Refused, text));
    }
    let object = bench.named("plan", ".json");
    let words = json!({ "plan": object, "crc32c": crc32c::crc32c(&bytes) }).to_string();
    store.put(&part::key(bench.job(), &object), bytes).await?;
    Ok(job::Plan {
        tool: name.tool.clone(),
        fragments: grid.fragments(),
        chunks,
        sounds: u32::try_from(whole_tracks).unwrap_or(u32::MAX),
        words,
    })
}

/// What the streams that are taken are called.
fn named(prepared: &Prepared) -> BTreeMap<u32, String> {
    let indexes = prepared.selected.indexes();
    indexes.into_iter().map(|index| (index, prepared.selected.describe(index))).collect()
}

/// How many frames of a source of varying rate each chunk is made of.
fn held(prepared: &Prepared, chunks: &[job::Span]) -> Vec<u64> {
    let (plan, shown) = (&*prepared.plan, Vec::from_iter(prepared.scan.shown()));
    if plan.source.video.timing != Timing::Timed || plan.source.video.is_guessed {
        return Vec::new();
    }
    let of = |span: &job::Span| {
        let fragments = span.fragments.clone();
        Cut { plan, input: &plan.input, fragments, from: None }.held(&shown)
    };
    chunks.iter().map(of).collect()
}

/// What each chunk needs of an object.
fn reach(prepared: &Prepared, source: &Local) -> Result<Option<Reach>, Error> {
    if source.object().is_none() {
        return Ok(None);
    }
    let boxes = fetch::structure(source.path());
    let boxes = boxes.map_err(|e| Error::storage(source.path().display(), e))?;
    let (names, base) = (&prepared.probe.format.format_name, prepared.plan.source.video.start.base);
    Ok(Reach::new(prepared.scan.extents(), names, base, boxes))
}

/// The longest that a source may take to be read through.
pub(super) const LOOKING: Duration = Duration::from_secs(24 * 3600);

/// What a job says of its source, which was refused when it was said wrongly.
fn parsed<T: FromStr<Err = String>>(what: &str, said: &[String]) -> Result<Vec<T>, Error> {
    let wrong = |why| Error::new(Kind::Refused, format!("{what}: {why}"));
    said.iter().map(|said| said.parse().map_err(wrong)).collect()
}

/// The file itself. One that is named in a folder that requests may name must be there in truth: a link
/// does not lead out.
pub(super) fn within(input: &Path, folders: &[PathBuf]) -> Result<PathBuf, Error> {
    let there = std::fs::canonicalize(input).map_err(|e| unreadable(input, &e))?;
    let is_asked = folders.iter().any(|folder| input.starts_with(folder));
    let real = folders.iter().filter_map(|folder| std::fs::canonicalize(folder).ok());
    if is_asked && !real.into_iter().any(|folder| there.starts_with(folder)) {
        let text = format!(
            "{}: it is a link out of the folders of encoder.api.inputs; put the file itself there",
            input.display()
        );
        return Err(Error::new(Kind::Refused, text));
    }
    // Elsewhere its name counts: another machine may have it in another place.
    Ok(if is_asked { there } else { input.to_owned() })
}

/// CRC32C of three places of a file.
fn sampled(input: &Path, len_bytes: u64) -> Result<u32, Error> {
    let storage = |e: std::io::Error| Error::storage(input.display(), e);
    let file = std::fs::File::open(input).map_err(storage)?;
    let mut crc32c = 0;
    for at in [0, len_bytes / 2, len_bytes.saturating_sub(SAMPLED_BYTES)] {
        let mut bytes = Vec::new();
        (&file).seek(SeekFrom::Start(at)).map_err(storage)?;
        (&file).take(SAMPLED_BYTES).read_to_end(&mut bytes).map_err(storage)?;
        crc32c = crc32c::crc32c_append(crc32c, &bytes);
    }
    Ok(crc32c)
}

/// Bytes of each of them.
const SAMPLED_BYTES: u64 = 64 << 10;

fn length(input: &Path) -> Result<u64, Error> {
    let data = std::fs::metadata(input).map_err(|e| unreadable(input, &e))?;
    Ok(data.len())
}

fn unreadable(input: &Path, e: &std::io::Error) -> Error {
    let kind = match e.kind() {
        std::io::ErrorKind::NotFound => Kind::NotFound,
        _ => Kind::Storage,
    };
    Error::new(kind, format!("{}: {e}", input.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_does_not_lead_out_of_the_folders_that_requests_may_name() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (open, closed) = (root.join("open"), root.join("closed"));
        for folder in [&open, &closed] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join("film"), "film").unwrap();
        }
        let link = |to: PathBuf, from: PathBuf| {
            std::os::unix::fs::symlink(to, &from).unwrap();
            from
        };
        let folders = [open.clone()];
        let inside = link(open.join("film"), open.join("inside"));
        assert_eq!(within(&inside, &folders).unwrap(), open.join("film"));
        for out in [link(closed.join("film"), open.join("out")), open.join("up/film")] {
            if out.ends_with("film") {
                link(closed.clone(), open.join("up"));
            }
            let refused = within(&out, &folders).unwrap_err();
            assert_eq!(refused.kind(), Kind::Refused, "{refused}");
        }
        // Who may write the queue itself may name any file.
        assert_eq!(within(&closed.join("film"), &folders).unwrap(), closed.join("film"));
        assert_eq!(within(&open.join("none"), &folders).unwrap_err().kind(), Kind::NotFound);
    }
}
