//! The life of an encode, from a file to a published version, and nothing else.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use headwater_config::{self as config, Encoder, StoreUrl};
use headwater_packager::ids::{TitleId, VersionId};
use headwater_packager::stored;

use crate::cancel::Cancel;
use crate::error::{Error, Kind};
use crate::facts::Facts;
use crate::ffmpeg::{Damage, Log, Tools, command};
use crate::plan::{Plan, raw_name};
use crate::probe::Probe;
use crate::publish;
use crate::remux::{self, Made};
use crate::report::{Meter, Report, Stage};
use crate::retention::{self, Terms};
use crate::source::{self, Selected};
use crate::store::{self, Store};
use crate::work::{self, Job, Work};

/// What to encode.
#[derive(Clone, Debug)]
pub struct Request {
    /// A local file.
    pub input: PathBuf,
    /// The title it becomes.
    pub title: TitleId,
    /// Where it is published.
    pub store: config::Store,
}

/// What was published.
#[derive(Debug)]
pub struct Published {
    /// The title.
    pub title: TitleId,
    /// Its new live version.
    pub version: VersionId,
    /// Its tracks, video first.
    pub tracks: Vec<Made>,
    /// Length of the picture in milliseconds.
    pub duration_ms: u64,
    /// Seconds that it took.
    pub took_s: f64,
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
    let swept = tokio::select! {
        swept = work::sweep(&config.work_dir) => swept?,
        () = cancel.cancelled() => return Err(Error::interrupted()),
    };
    swept.iter().for_each(|swept| report.notice(swept));
    let store = store::open(&request.store)?;
    let store = store.as_ref();
    let lease = tokio::select! {
        lease = store.lease(&request.title) => lease?,
        () = cancel.cancelled() => return Err(Error::interrupted()),
    };
    let published = encode_alone(request, store, config, report, cancel).await;
    lease.give_back().await;
    published
}

/// The same, while nobody else writes the title.
async fn encode_alone(
    request: &Request,
    store: &dyn Store,
    config: &Encoder,
    report: &Arc<dyn Report>,
    cancel: &Cancel,
) -> Result<Published, Error> {
    let started = Instant::now();
    // A pointer that cannot be replaced is told of before the work, not after.
    let before = publish::pointer(store, &request.title).await?;
    let tools = Tools::new(config);
    let prepared = prepare(&request.input, &tools, config, report, cancel).await?;
    let duration_ms = prepared.plan.grid.duration_ms();
    let version = VersionId::from_u128(uuid::Uuid::now_v7().as_u128());
    let job = Job { title: request.title.clone(), version, store: absolute(&request.store)? };
    let work = Work::create(&config.work_dir, &job)?;
    let station =
        Station { job: &job, tools: &tools, store, folder: work.folder(), report, cancel };
    let made = station.make_and_publish(prepared).await;
    // What cannot be cleaned up is noted; the outcome stays what it is.
    let cleaned = match &made {
        Ok(_) => work.remove(),
        // The pointer may still arrive: taken back now, the version would be live without its bytes.
        Err(error) if error.is_unsure() => Err(Error::storage(
            stored::version_prefix(&request.title, version),
            "kept, as the write that failed may still be carried out",
        )),
        // Should this fail, the work folder stays and tells the next run what to take back.
        Err(_) => match work::take_back(store, &request.title, version).await {
            Ok(_) => work.remove(),
            Err(e) => Err(e),
        },
    };
    if let Err(e) = cleaned {
        report.notice(&format!("not cleaned up: {e}; the next encode takes back what is not live"));
    }
    if made.is_ok() {
        let displaced = before.and_then(|pointer| pointer.live);
        retire(store, &request.title, displaced, config, report.as_ref()).await;
    }
    report.end();
    Ok(Published {
        title: request.title.clone(),
        version,
        tracks: made?,
        duration_ms,
        took_s: started.elapsed().as_secs_f64(),
    })
}

/// After a publication: the version before begins its grace, and those at its end are removed.
/// What fails here is tried again by the next encode of the title, or by `sweep`.
async fn retire(
    store: &dyn Store,
    title: &TitleId,
    displaced: Option<VersionId>,
    config: &Encoder,
    report: &dyn Report,
) {
    let terms = Terms { now_ms: unix_ms(), grace_ms: grace_ms(config) };
    let retired = async {
        if let Some(version) = displaced {
            retention::displace(store, title, version, terms).await?;
        }
        retention::retain(store, title, terms).await
    };
    match retired.await {
        Ok(removed) => removed.iter().for_each(|version| {
            report.notice(&format!("removed {version}, displaced for longer than version_grace_h"));
        }),
        Err(e) => report.notice(&format!("old versions stay for now: {e}")),
    }
}

/// How long a displaced version stays, in milliseconds.
pub fn grace_ms(config: &Encoder) -> u64 {
    u64::from(config.version_grace_h) * 3_600_000
}

/// The wall clock, in milliseconds.
pub fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A source that was looked at, and what is to be made of it.
struct Prepared {
    probe: Probe,
    selected: Selected,
    plan: Arc<Plan>,
    notices: Vec<String>,
    ffmpeg: String,
}

async fn prepare(
    input: &Path,
    tools: &Tools,
    config: &Encoder,
    report: &Arc<dyn Report>,
    cancel: &Cancel,
) -> Result<Prepared, Error> {
    let meter = Meter::start(report, Stage::Probe);
    let unreadable = |e| Error::new(Kind::Usage, format!("{}: {e}", input.display()));
    let input = std::path::absolute(input).map_err(unreadable)?;
    // ffprobe would say the same, in its own words.
    let file = std::fs::File::open(&input).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.len() == 0 {
        let text = format!("{} is empty; send the whole file", input.display());
        return Err(Error::new(Kind::SourceDamaged, text));
    }
    let ffmpeg = tools.version(cancel).await?;
    let probe = tools.probe(&input, cancel).await?;
    let selected = source::select(&probe)?;
    let (scan, log) = tools.scan(&input, selected.video.index, cancel).await?;
    let (source, more) = source::measure(&probe, &selected, &scan, &log, config.gop_ms)?;
    let plan = Plan::new(input, source, config);
    let mut notices = selected.notices.clone();
    notices.extend(more);
    notices.push(format!("plan: {}", plan.summary()));
    notices.iter().for_each(|notice| report.notice(notice));
    meter.at(1.0);
    Ok(Prepared { probe, selected, plan: Arc::new(plan), notices, ffmpeg })
}

/// Where one version is made.
struct Station<'a> {
    job: &'a Job,
    tools: &'a Tools,
    store: &'a dyn Store,
    folder: &'a Path,
    report: &'a Arc<dyn Report>,
    cancel: &'a Cancel,
}

impl Station<'_> {
    async fn make_and_publish(&self, prepared: Prepared) -> Result<Vec<Made>, Error> {
        let log = self.run_ffmpeg(&prepared).await?;
        let made = self.package(&prepared.plan).await?;
        let facts = Facts {
            title: &self.job.title,
            version: self.job.version,
            probe: &prepared.probe,
            plan: &prepared.plan,
            ffmpeg: &prepared.ffmpeg,
            args: &command::encode(&prepared.plan, self.folder, self.tools.threads),
            folder: self.folder,
            log: &log,
            notices: &prepared.notices,
        };
        self.publish(&made, &facts).await?;
        Ok(made)
    }

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
        let (index, planned) = (plan.source.video.index, plan.grid.frames());
        match log.tally(index) {
            Some(tally) if tally.frames != planned => Err(Error::new(
                Kind::SourceDamaged,
                format!(
                    "{}: {} of its {planned} frames could be decoded; ffmpeg says: {}; \
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
        let input = &prepared.plan.input;
        let place = self.tools.locate(input, streams, zero_s + reached_s, self.cancel).await?;
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

    /// ffmpeg's files to ours, each checked against the plan.
    async fn package(&self, plan: &Arc<Plan>) -> Result<Vec<Made>, Error> {
        let (plan, folder, cancel) =
            (Arc::clone(plan), self.folder.to_owned(), self.cancel.clone());
        let meter = Meter::start(self.report, Stage::Package);
        let work = move || package(&plan, &folder, &meter, &cancel);
        let made = tokio::task::spawn_blocking(work).await;
        made.map_err(|e| Error::tool(format!("packaging: {e}")))?
    }

    async fn publish(&self, made: &[Made], facts: &Facts<'_>) -> Result<(), Error> {
        let Self { store, cancel, .. } = *self;
        let (title, version) = (&self.job.title, self.job.version);
        let facts = facts.to_json()?;
        // Under the lease nobody else changes the pointer.
        let before = publish::pointer(store, title).await?;
        let access_class = before.and_then(|pointer| pointer.access_class);
        let heads = publish::heads(title, version, access_class, made)?;
        let meter = Meter::start(self.report, Stage::Publish);
        publish::write(store, title, version, made, &facts, &heads, cancel).await?;
        meter.at(1.0);
        let meter = Meter::start(self.report, Stage::Verify);
        let whole: u64 = made.iter().map(|track| track.object().len_bytes).sum();
        let mut read = 0;
        let mut on_bytes = |bytes| {
            read += bytes;
            meter.of(read, whole);
        };
        publish::read_back(store, title, version, (&facts, &heads), cancel, &mut on_bytes).await?;
        cancel.check()?;
        publish::go_live(store, title, version).await
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
        made.push(remux::video(folder, &plan.grid, rung, cancel, &mut done)?);
    }
    if let Some(audio) = &plan.audio {
        made.push(remux::sound(folder, audio, fragments, cancel, &mut done)?);
    }
    for track in plan.tracks() {
        let raw = folder.join(raw_name(track));
        std::fs::remove_file(&raw).map_err(|e| Error::storage(raw.display(), e))?;
    }
    Ok(made)
}

/// The store as it is valid from any working directory.
fn absolute(store: &config::Store) -> Result<config::Store, Error> {
    let mut store = store.clone();
    if let StoreUrl::File(folder) = &mut store.url {
        *folder = std::path::absolute(&*folder).map_err(|e| Error::storage(folder.display(), e))?;
    }
    Ok(store)
}

#[cfg(test)]
mod tests;
