//! The making of a version from a film: probe, plan, ffmpeg, remux, facts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_config::{self as config, AudioCodec, Encoder};
use headwater_packager::ids::TitleId;

use crate::audio::{AudioGrid, Frames, PRIMING_FRAMES};
use crate::cancel::Cancel;
use crate::error::{Error, Kind};
use crate::facts::Facts;
use crate::ffmpeg::{Copied, Damage, Log, Tools, command, sound_changes};
use crate::import::sounds::{self, Ends};
use crate::language;
use crate::limits;
use crate::plan::{AudioPlan, Passed, Plan, raw_name, text_name};
use crate::probe::Probe;
use crate::remux::{self, Made, Raw, Sound};
use crate::report::{Meter, Report, Stage};
use crate::scan::Scan;
use crate::source::{self, Said, Selected};
use crate::text::{self, Sidecar, Text};
use crate::version::{self, Making, Place, Product, Published, Station};

/// What to encode.
#[derive(Clone, Debug)]
pub struct Request {
    /// A local file.
    pub input: PathBuf,
    /// The title it becomes.
    pub title: TitleId,
    /// Where it is published.
    pub store: config::Store,
    /// What is said of its sounds.
    pub said: Vec<Said>,
    /// Texts beside it.
    pub sidecars: Vec<Sidecar>,
}

/// Encodes and publishes. Whatever goes wrong, and when stopped, the title stays as it was and
/// nothing half made is left behind; what a failing store or disk keeps us from removing is told
/// of, and removed by the next encode.
pub async fn encode(
    request: &Request,
    config: &Encoder,
    report: &Arc<dyn Report>,
    cancel: &Cancel,
) -> Result<Published, Error> {
    let encoding = Encoding { request, config };
    let place = Place { title: &request.title, store: &request.store };
    version::publish_new(&encoding, place, config, report, cancel).await
}

/// The making of a version from one film.
struct Encoding<'a> {
    request: &'a Request,
    config: &'a Encoder,
}

/// A source that was looked at, and what is to be made of it.
pub(crate) struct Prepared {
    pub(crate) probe: Probe,
    pub(crate) selected: Selected,
    pub(crate) scan: Scan,
    pub(crate) plan: Arc<Plan>,
    pub(crate) notices: Vec<String>,
    pub(crate) ffmpeg: String,
    pub(crate) sidecars: Vec<Text>,
}

impl Making for Encoding<'_> {
    type Prepared = Prepared;

    async fn prepare(
        &self,
        tools: &Tools,
        report: &Arc<dyn Report>,
        cancel: &Cancel,
    ) -> Result<Prepared, Error> {
        prepare(self.request, tools, self.config, report, cancel).await
    }

    async fn make(&self, prepared: Prepared, station: &Station<'_>) -> Result<Product, Error> {
        // The least work first.
        let mut notices = prepared.notices.clone();
        let texts = station.texts(&prepared, &mut notices).await?;
        let passed = station.passed(&prepared.plan, &mut notices).await?;
        let log = station.run_ffmpeg(&prepared).await?;
        let mut tracks = station.package(&prepared.plan).await?;
        tracks.extend(passed);
        let facts = Facts {
            title: &station.job.title,
            version: station.job.version,
            probe: &prepared.probe,
            plan: &prepared.plan,
            ffmpeg: &prepared.ffmpeg,
            args: &command::encode(&prepared.plan, station.folder, station.tools.threads),
            folder: station.folder,
            log: &log,
            notices: &notices,
            texts: &texts,
        };
        let duration_ms = prepared.plan.grid.duration_ms();
        let facts = facts.to_json()?;
        Ok(Product { tracks, texts, facts, duration_ms })
    }
}

/// Looks at what is to be encoded, and plans.
pub(crate) async fn prepare(
    request: &Request,
    tools: &Tools,
    config: &Encoder,
    report: &Arc<dyn Report>,
    cancel: &Cancel,
) -> Result<Prepared, Error> {
    let meter = Meter::start(report, Stage::Probe);
    let mut sidecars = Vec::new();
    if request.sidecars.len() > limits::TEXTS {
        let (got, most) = (request.sidecars.len(), limits::TEXTS);
        return Err(Error::new(
            Kind::Usage,
            format!("--text {got} times, at most {most} are taken"),
        ));
    }
    for sidecar in &request.sidecars {
        sidecars.push(sidecar.read(&sidecars)?);
    }
    let ffmpeg = tools.version(cancel).await?;
    let looked = look(&request.input, &request.said, tools, config, cancel).await?;
    let Looked { probe, selected, scan, plan, notices } = looked;
    notices.iter().for_each(|notice| report.notice(notice));
    meter.at(1.0);
    Ok(Prepared { probe, selected, scan, plan: Arc::new(plan), notices, ffmpeg, sidecars })
}

/// What is found in a source, and what would be made of it.
#[derive(Debug)]
pub struct Looked {
    /// What ffprobe says.
    pub probe: Probe,
    /// The streams that are taken.
    pub selected: Selected,
    /// Its packets.
    pub scan: Scan,
    /// What would be made.
    pub plan: Plan,
    /// What the uploader should know.
    pub notices: Vec<String>,
}

/// Looks at a source and plans, or refuses it.
pub async fn look(
    input: &Path,
    said: &[Said],
    tools: &Tools,
    config: &Encoder,
    cancel: &Cancel,
) -> Result<Looked, Error> {
    let unreadable = |e| Error::new(Kind::Usage, format!("{}: {e}", input.display()));
    let input = std::path::absolute(input).map_err(unreadable)?;
    // ffprobe would say the same, in its own words.
    let file = std::fs::File::open(&input).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.len() == 0 {
        let text = format!("{} is empty; send the whole file", input.display());
        return Err(Error::new(Kind::SourceDamaged, text));
    }
    let probe = tools.probe(&input, cancel).await?;
    let selected = source::select(&probe, said)?;
    let (mut scan, log) = tools.scan(&input, selected.video.index, cancel).await?;
    if log.damage().is_none() && source::packets_are_doubtful(&selected.video, &scan) {
        tools.frames(&input, &selected.video, &mut scan, cancel).await?;
    }
    let (source, more) = source::measure(&probe, &selected, &scan, &log, config.gop_ms)?;
    let plan = Plan::new(input, source, config)?;
    tools.is_able(&plan, cancel).await?;
    tools.keeps_hdr(&plan, &config.work_dir, cancel).await?;
    let mut notices = selected.notices.clone();
    notices.extend(more);
    notices.extend(plan.notices.iter().cloned());
    notices.push(format!("plan: {}", plan.summary()));
    Ok(Looked { probe, selected, scan, plan, notices })
}

impl Station<'_> {
    /// One process for everything, and then its word against ours: the frames that it says it
    /// decoded against those that the source holds.
    async fn run_ffmpeg(&self, prepared: &Prepared) -> Result<Log, Error> {
        let plan = &prepared.plan;
        let meter = Meter::start(self.report, Stage::Encode);
        let mut reached_s = 0.0;
        let mut on_progress = |progress: &crate::ffmpeg::Progress| {
            reached_s = progress.out_time_s();
            meter.encoding(progress.frames, plan.grid.frames(), reached_s, progress.frames_per_s);
        };
        let log = self.tools.encode(plan, self.folder, self.cancel, &mut on_progress).await?;
        if let Some(damage) = log.damage() {
            return Err(self.damaged(prepared, damage, reached_s).await?);
        }
        if let Some(stream) = log.changed() {
            let sounds = plan.sounds.iter().map(|sound| sound.stream);
            let stream = stream.or(sounds.min()).unwrap_or(0);
            return Err(sound_changes(prepared.selected.describe(stream), reached_s));
        }
        let (index, held) = (plan.source.video.index, plan.source.video.held_frames);
        match log.tally(index) {
            Some(tally) if tally.frames != held => Err(Error::new(
                Kind::SourceDamaged,
                format!(
                    "{}: {} of its {held} frames could be decoded; ffmpeg says: {}; \
                     nothing was published. Send a whole copy of the source",
                    prepared.selected.describe(index),
                    tally.frames,
                    log.last_lines()
                ),
            )),
            _ => Ok(log),
        }
    }

    /// The error for a damaged source, with stream and time.
    async fn damaged(
        &self,
        prepared: &Prepared,
        damage: &Damage,
        reached_s: f64,
    ) -> Result<Error, Error> {
        let selected = &prepared.selected;
        let zero_s = prepared.plan.source.video.start.seconds();
        let streams = damage.stream.map_or_else(|| selected.indexes(), |stream| vec![stream]);
        let plan = &prepared.plan;
        let place = self.tools.locate(plan, streams, zero_s + reached_s, self.cancel).await?;
        let (stream, at) = match place {
            Some(place) => (place.stream, format!("at {:.3} s", place.at_s - zero_s)),
            None => {
                let stream = damage.stream.unwrap_or(selected.video.index);
                (stream, format!("behind {reached_s:.0} s"))
            }
        };
        Ok(Error::new(
            Kind::SourceDamaged,
            format!(
                "{} is damaged {at}: {}; nothing was published. Send a whole copy of the source",
                selected.describe(stream),
                damage.said
            ),
        ))
    }

    /// The source's own texts, and those beside it. One that cannot be read is left out: the film is
    /// what was sent for.
    pub(crate) async fn texts(
        &self,
        prepared: &Prepared,
        notices: &mut Vec<String>,
    ) -> Result<Vec<Text>, Error> {
        let mut texts = prepared.sidecars.clone();
        for stream in &prepared.selected.texts {
            let path = self.folder.join(text_name(stream.index));
            let input = &prepared.plan.input;
            let log = self.tools.text(input, stream.index, self.folder, self.cancel).await?;
            let by_ms = -prepared.plan.source.video.start.ms();
            let cues = match log.damage() {
                Some(damage) => Err(damage.said.clone()),
                None => text::of_source(&path, by_ms),
            };
            let _ = std::fs::remove_file(&path);
            let cues = match cues {
                Err(why) => {
                    self.tell(format!("{} is left out: {why}", stream.describe()), notices);
                    continue;
                }
                Ok((cues, said)) => {
                    if let Some(said) = said {
                        self.tell(format!("{}: {said}", stream.describe()), notices);
                    }
                    cues
                }
            };
            if cues.is_empty() {
                self.tell(format!("{} is left out: it has no cue", stream.describe()), notices);
                continue;
            }
            let language = stream.tags.get("language").and_then(|tag| language::parse(tag));
            texts.push(text::text(&cues, language.as_ref(), stream.has("forced"), &texts));
        }
        Ok(texts)
    }

    fn tell(&self, notice: String, notices: &mut Vec<String>) {
        self.report.notice(&notice);
        notices.push(notice);
    }

    /// Sounds whose frames are taken as they are. One that cannot be had so is encoded all the same,
    /// and told of.
    async fn passed(
        &self,
        plan: &Arc<Plan>,
        notices: &mut Vec<String>,
    ) -> Result<Vec<Made>, Error> {
        let mut made = Vec::new();
        for passed in &plan.passed {
            let Passed { stream, sound } = passed;
            match self.pass(plan, passed).await {
                Ok((track, said)) => {
                    made.push(track);
                    said.into_iter().for_each(|said| self.tell(said, notices));
                }
                Err(error) if matches!(error.kind(), Kind::Interrupted | Kind::Storage) => {
                    return Err(error);
                }
                Err(error) => {
                    let name = &sound.name;
                    self.tell(
                        format!("{name} is not passed through (stream {stream}): {error}"),
                        notices,
                    );
                }
            }
        }
        Ok(made)
    }

    pub(crate) async fn pass(
        &self,
        plan: &Arc<Plan>,
        passed: &Passed,
    ) -> Result<(Made, Vec<String>), Error> {
        let track = passed.sound.track.clone();
        let copied = Copied { index: passed.stream, track, is_video: false, is_hevc: false };
        let raw = self.folder.join(raw_name(&copied.track));
        let copied = std::slice::from_ref(&copied);
        let log =
            self.tools.copy(&plan.input, copied, self.folder, self.cancel, &mut |_| {}).await?;
        if let Some(damage) = log.damage() {
            return Err(Error::new(Kind::SourceDamaged, damage.said.clone()));
        }
        let (plan, folder) = (Arc::clone(plan), self.folder.to_owned());
        let (sound, cancel) = (passed.sound.clone(), self.cancel.clone());
        let work = move || {
            let ticks: Vec<u64> = plan.grid.ends().collect();
            let ends = Ends { ticks: &ticks, timescale: plan.grid.rate().timescale() };
            sounds::cut(&folder, &sound, ends, &cancel, &mut || {})
        };
        let cut = tokio::task::spawn_blocking(work).await;
        let cut = cut.map_err(|e| Error::tool(format!("packaging: {e}")))??;
        std::fs::remove_file(&raw).map_err(|e| Error::storage(raw.display(), e))?;
        Ok(cut)
    }

    /// ffmpeg's files to ours, each checked against the plan.
    async fn package(&self, plan: &Arc<Plan>) -> Result<Vec<Made>, Error> {
        let (plan, folder, cancel) =
            (Arc::clone(plan), self.folder.to_owned(), self.cancel.clone());
        let meter = Meter::start(self.report, Stage::Package);
        let work = move || package(&plan, &folder, &meter, &cancel);
        let made = tokio::task::spawn_blocking(work).await;
        made.map_err(|e| Error::tool(format!("packaging: {e}")))?
    }
}

fn package(plan: &Plan, folder: &Path, meter: &Meter, cancel: &Cancel) -> Result<Vec<Made>, Error> {
    let fragments = plan.grid.fragments();
    let tracks = u64::try_from(plan.tracks().count()).expect("a count fits");
    let whole = tracks * u64::from(fragments);
    let mut part = 0;
    let mut done = || {
        part += 1;
        meter.of(part, whole);
    };
    let mut made = Vec::new();
    for rung in &plan.rungs {
        made.push(remux::video(
            folder,
            &plan.grid,
            rung,
            |v| remux::is_of(v, rung.codec),
            cancel,
            &mut done,
        )?);
    }
    for sound in &plan.sounds {
        let (grid, dropped_frames) = placed(plan, sound, folder)?;
        let part = Sound {
            track: &sound.track,
            language: sound.language.as_ref(),
            role: sound.role,
            grid: &grid,
            gap_ticks: 0,
            dropped_frames,
            may_be_longer: sound.codec == AudioCodec::HeAac,
        };
        let expects = |entry: &_| remux::is_ours(entry, sound.codec, sound.channels);
        made.push(remux::sound(folder, part, expects, cancel, &mut done)?);
    }
    for track in plan.tracks() {
        let raw = folder.join(raw_name(track));
        std::fs::remove_file(&raw).map_err(|e| Error::storage(raw.display(), e))?;
    }
    Ok(made)
}

/// Where a sound is cut, and how many of its encoder's frames stand before the first that is kept.
pub(crate) fn placed(
    plan: &Plan,
    sound: &AudioPlan,
    folder: &Path,
) -> Result<(AudioGrid, u64), Error> {
    match sound.codec {
        AudioCodec::Aac | AudioCodec::Dolby => Ok((sound.grid.clone(), PRIMING_FRAMES.into())),
        AudioCodec::Opus => Ok((sound.grid.clone(), 0)),
        AudioCodec::HeAac => {
            // ffmpeg says it in an edit list; none says that there is no delay.
            let raw = Raw::open_shifted(&folder.join(raw_name(&sound.track)));
            let raw = raw.map_err(|e| Error::tool(format!("{}: {e}", sound.track)))?;
            let delay = raw.header.edit_media_time.unwrap_or(0).unsigned_abs();
            let counts = Frames::made_by(sound.codec);
            let (dropped, hidden) = counts.behind(delay);
            Ok((AudioGrid::new(&plan.grid, hidden), dropped))
        }
    }
}

#[cfg(test)]
mod tests;
