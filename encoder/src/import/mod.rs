//! A ladder that exists already becomes a title, without encoding anything again.
//!
//! ```text
//! files ─► ladder ─► ffmpeg ──► pictures ─► keys ───────► times ─► remux
//!          what they  a file     key frames  where all     decode   our track
//!          hold       a stream   looked at   can be cut    times    files
//! ```
//!
//! What decoders make of the title is what they make of the files, picture for picture and frame for
//! frame. What cannot be had so is refused: codecs that players of the web do not take, open GOPs,
//! renditions whose key frames do not align.

pub mod keys;
pub mod ladder;
pub mod pictures;
pub mod sounds;
mod times;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use headwater_config::{self as config, Encoder};
use headwater_packager::ids::TitleId;
use headwater_packager::time;
use serde_json::json;

use crate::cancel::Cancel;
use crate::error::{Error, Kind};
use crate::facts;
use crate::ffmpeg::Tools;
use crate::limits;
use crate::probe::Stream;
use crate::publish::{self, Product, Went};
use crate::remux::Made;
use crate::report::{Meter, Report, Stage};
use crate::version::{self, Making, Place, Published, Shown, Station};

use keys::{Cuts, Keys};
use ladder::Ladder;
use pictures::Rendition;

/// What to import.
#[derive(Clone, Debug)]
pub struct Request {
    /// Local files, each with one or more renditions and sounds.
    pub inputs: Vec<PathBuf>,
    /// The title they become.
    pub title: TitleId,
    /// Where it is published.
    pub store: config::Store,
}

/// Imports and publishes. Whatever goes wrong, and when stopped, the title stays as it was.
pub async fn import(
    request: &Request,
    config: &Encoder,
    report: &Arc<dyn Report>,
    cancel: &Cancel,
) -> Result<Published, Error> {
    let import = Import { inputs: &request.inputs, config };
    let place = Place { title: &request.title, store: &request.store };
    version::publish_new(&import, place, config, report, cancel).await
}

struct Import<'a> {
    inputs: &'a [PathBuf],
    config: &'a Encoder,
}

struct Prepared {
    ladder: Ladder,
    ffmpeg: String,
}

impl Making for Import<'_> {
    type Prepared = Prepared;

    async fn prepare(
        &self,
        tools: &Tools,
        report: &Arc<dyn Report>,
        cancel: &Cancel,
    ) -> Result<Prepared, Error> {
        if self.inputs.len() > limits::LADDER_FILES {
            let (got, most) = (self.inputs.len(), limits::LADDER_FILES);
            return Err(Error::new(Kind::Usage, format!("{got} files, at most {most} are taken")));
        }
        let meter = Meter::start(report, Stage::Probe);
        let ffmpeg = tools.version(cancel).await?;
        let mut looked = Vec::new();
        for (i, input) in self.inputs.iter().enumerate() {
            looked.push(look(input, tools, cancel).await?);
            meter.of(count(i + 1), count(self.inputs.len()));
        }
        let ladder = ladder::choose(&looked)?;
        ladder.notices.iter().for_each(|notice| report.notice(notice));
        Ok(Prepared { ladder, ffmpeg })
    }

    async fn publish(&self, prepared: Prepared, station: &Station<'_>) -> Result<Shown, Error> {
        let product = self.make(prepared, station).await?;
        let Station { job, store, report, cancel, .. } = station;
        let watch = publish::Watch { report, on_bytes: &|_| (), cancel };
        let place = (&job.title, job.version);
        match publish::version(store.as_ref(), place, &product, &watch).await? {
            Went::Live(before) => {
                let (store, title) = (store.as_ref(), &job.title);
                publish::retire(store, title, before, self.config, report.as_ref()).await;
                Ok(Shown::from(&product))
            }
            Went::Superseded(later) => Err(publish::superseded(&job.title, later)),
        }
    }
}

impl Import<'_> {
    async fn make(&self, prepared: Prepared, station: &Station<'_>) -> Result<Product, Error> {
        let Prepared { ladder, ffmpeg } = prepared;
        copy(&ladder, station).await?;
        let meter = Meter::start(station.report, Stage::Package);
        let (folder, cancel) = (station.folder.to_owned(), station.cancel.clone());
        let wanted_ms = self.config.gop_ms;
        let ladder = Arc::new(ladder);
        let work = {
            let ladder = Arc::clone(&ladder);
            move || package(&ladder, wanted_ms, &folder, &meter, &cancel)
        };
        let packaged = tokio::task::spawn_blocking(work).await;
        let packaged = packaged.map_err(|e| Error::tool(format!("packaging: {e}")))??;
        packaged.notices.iter().for_each(|notice| station.report.notice(notice));
        let facts = facts(&ladder, &packaged, &ffmpeg, station)?;
        let Packaged { tracks, duration_ms, .. } = packaged;
        Ok(Product { tracks, texts: Vec::new(), facts, duration_ms })
    }
}

/// Headers and packets of one file.
async fn look(
    input: &std::path::Path,
    tools: &Tools,
    cancel: &Cancel,
) -> Result<ladder::Looked, Error> {
    let unreadable = |e| Error::new(Kind::Usage, format!("{}: {e}", input.display()));
    let path = std::path::absolute(input).map_err(unreadable)?;
    // ffprobe would say the same, in its own words.
    std::fs::File::open(&path).map_err(unreadable)?;
    let probe = tools.probe(&path, cancel).await?;
    let video = probe.streams.iter().find(|s| s.is_video()).map_or(u32::MAX, |s: &Stream| s.index);
    let (scan, log) = tools.scan(&path, video, cancel).await?;
    Ok((path, probe, scan, log))
}

/// Every stream that becomes a track, into a file of its own.
async fn copy(ladder: &Ladder, station: &Station<'_>) -> Result<(), Error> {
    let meter = Meter::start(station.report, Stage::Copy);
    let length_s = |file: &ladder::File| file.probe.format.duration_s().unwrap_or(0.0);
    let whole_s: f64 = ladder.files.iter().map(length_s).sum();
    let mut before_s = 0.0;
    for file in ladder.files.iter().filter(|file| !file.streams.is_empty()) {
        let mut tell = |reached_s: f64| meter.at((before_s + reached_s) / whole_s.max(1.0));
        let (folder, cancel) = (station.folder, station.cancel);
        let log = station.tools.copy(&file.path, &file.streams, folder, cancel, &mut tell).await?;
        if let Some(damage) = log.damage() {
            let text = format!(
                "{} is damaged: {}; nothing was published. Use a whole copy",
                file.path.display(),
                damage.said
            );
            return Err(Error::new(Kind::SourceDamaged, text));
        }
        before_s += length_s(file);
    }
    Ok(())
}

/// The finished tracks.
struct Packaged {
    tracks: Vec<Made>,
    notices: Vec<String>,
    fragments: usize,
    duration_ms: u64,
}

fn package(
    ladder: &Ladder,
    wanted_ms: u32,
    folder: &std::path::Path,
    meter: &Meter,
    cancel: &Cancel,
) -> Result<Packaged, Error> {
    let mut renditions = Vec::new();
    for picture in &ladder.pictures {
        let named = |e: Error| Error::new(e.kind(), format!("{}: {e}", picture.name));
        let rendition =
            pictures::survey(folder, &picture.track, picture.rate, cancel).map_err(named)?;
        if rendition.frames != picture.packets {
            let (got, held) = (rendition.frames, picture.packets);
            return Err(Error::tool(format!(
                "{}: {got} of its {held} pictures came through ffmpeg; nothing was published",
                picture.name
            )));
        }
        renditions.push(rendition);
    }
    let cuts = align(ladder, &renditions, wanted_ms)?;
    let reference = &renditions[0].keys;
    let ends: Vec<u64> = cuts.iter().skip(1).map(|keys| keys[0].ticks).collect();
    let ends: Vec<u64> = ends.into_iter().chain([reference.end_ticks]).collect();
    let whole = count(cuts.len()) * count(renditions.len() + ladder.sounds.len());
    let mut part = 0;
    let mut done = || {
        part += 1;
        meter.of(part, whole);
    };
    let (mut tracks, mut notices) = (Vec::new(), Vec::new());
    for (i, rendition) in renditions.iter().enumerate() {
        let own: Vec<keys::Key> = cuts.iter().map(|keys| keys[i]).collect();
        let named = |e: Error| Error::new(e.kind(), format!("{}: {e}", ladder.pictures[i].name));
        tracks.push(pictures::cut(folder, rendition, &own, cancel, &mut done).map_err(named)?);
    }
    for sound in &ladder.sounds {
        let cut = sounds::Ends { ticks: &ends, timescale: reference.timescale };
        let (made, said) = sounds::cut(folder, sound, cut, cancel, &mut done)?;
        tracks.push(made);
        notices.extend(said);
    }
    let duration_ms = time::millis(reference.end_ticks, reference.timescale);
    Ok(Packaged { tracks, notices, fragments: cuts.len(), duration_ms })
}

/// Where all renditions can be cut.
fn align(ladder: &Ladder, renditions: &[Rendition], wanted_ms: u32) -> Result<Cuts, Error> {
    let keys: Vec<Keys> = renditions.iter().map(|r| r.keys.clone()).collect();
    keys::cuts(&keys, f64::from(wanted_ms) / 1000.0, limits::FRAGMENT_SECONDS).map_err(|misfit| {
        let named = |p: &ladder::Picture| format!("{} ({})", p.track, p.name);
        let names: Vec<String> = ladder.pictures.iter().map(named).collect();
        Error::new(Kind::Refused, misfit.describe(&names).to_string())
    })
}

/// `facts.json` of an import.
fn facts(
    ladder: &Ladder,
    packaged: &Packaged,
    ffmpeg: &str,
    station: &Station<'_>,
) -> Result<Bytes, Error> {
    let files: Vec<_> = ladder
        .files
        .iter()
        .map(|file| {
            let streams: Vec<_> = file
                .streams
                .iter()
                .map(|stream| json!({"index": stream.index, "track": stream.track}))
                .collect();
            json!({
                "name": file.path.file_name().map(|name| name.to_string_lossy()),
                "probe": file.probe,
                "streams": streams,
            })
        })
        .collect();
    let facts = json!({
        "format": 1,
        "title": station.job.title,
        "version": station.job.version,
        "import": {"files": files, "fragments": packaged.fragments},
        "tools": {
            "encoder": concat!("headwater-encoder ", env!("CARGO_PKG_VERSION")),
            "ffmpeg": ffmpeg,
        },
        "notices": ladder.notices.iter().chain(&packaged.notices).collect::<Vec<_>>(),
    });
    let json = serde_json::to_vec_pretty(&facts).expect("facts are plain data");
    if json.len() > facts::MAX_BYTES {
        let (len, limit) = (json.len(), facts::MAX_BYTES);
        let text = format!(
            "what is to be kept of the files' headers fills {len} bytes, at most {limit}; remux them \
             with the streams and tags that matter"
        );
        return Err(Error::new(Kind::Refused, text));
    }
    Ok(json.into())
}

fn count(n: usize) -> u64 {
    u64::try_from(n).expect("a count fits")
}
