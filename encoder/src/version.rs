//! A new version of a title, from the lease to the commit. Whatever goes wrong in between, the title
//! stays as it was and nothing half made is left behind.
//!
//! What its tracks are made from, and how, is [`Making`]'s: an encode of a film, an import of a ladder.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use headwater_config::{self as config, Encoder, StoreUrl};
use headwater_packager::ids::{TitleId, VersionId};
use headwater_packager::stored;

use crate::cancel::Cancel;
use crate::error::Error;
use crate::ffmpeg::Tools;
use crate::publish;
use crate::remux::Made;
use crate::report::{Meter, Report, Stage};
use crate::retention::{self, Terms};
use crate::store::{self, Store};
use crate::text::Text;
use crate::work::{self, Job, Work};

/// How a version's tracks come about.
pub(crate) trait Making {
    /// What was found out about the input, and decided.
    type Prepared;

    /// Looks at the input and decides, or refuses: nothing is written yet.
    async fn prepare(
        &self,
        tools: &Tools,
        report: &Arc<dyn Report>,
        cancel: &Cancel,
    ) -> Result<Self::Prepared, Error>;

    /// Makes the tracks' files in the station's folder.
    async fn make(&self, prepared: Self::Prepared, station: &Station<'_>)
    -> Result<Product, Error>;
}

/// Where one version is made.
pub(crate) struct Station<'a> {
    /// Title, version, store.
    pub job: &'a Job,
    /// ffmpeg.
    pub tools: &'a Tools,
    /// A folder of its own.
    pub folder: &'a Path,
    /// Who is told.
    pub report: &'a Arc<dyn Report>,
    /// Whether to go on.
    pub cancel: &'a Cancel,
}

/// What was made.
pub(crate) struct Product {
    /// Its tracks, video first.
    pub tracks: Vec<Made>,
    /// Its texts.
    pub texts: Vec<Text>,
    /// `facts.json`.
    pub facts: Bytes,
    /// Length of the picture in milliseconds.
    pub duration_ms: u64,
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
    /// Its texts.
    pub texts: Vec<Text>,
    /// Length of the picture in milliseconds.
    pub duration_ms: u64,
    /// Seconds that it took.
    pub took_s: f64,
}

/// Where a version is published.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    /// The title it belongs to.
    pub title: &'a TitleId,
    /// Its store.
    pub store: &'a config::Store,
}

/// Makes and publishes. Whatever goes wrong, and when stopped, the title stays as it was and
/// nothing half made is left behind; what a failing store or disk keeps us from removing is told
/// of, and removed by the next run.
pub(crate) async fn publish_new(
    making: &impl Making,
    place: Place<'_>,
    config: &Encoder,
    report: &Arc<dyn Report>,
    cancel: &Cancel,
) -> Result<Published, Error> {
    let swept = tokio::select! {
        swept = work::sweep(&config.work_dir) => swept?,
        () = cancel.cancelled() => return Err(Error::interrupted()),
    };
    swept.iter().for_each(|swept| report.notice(swept));
    let store = store::open(place.store)?;
    let store = store.as_ref();
    let lease = tokio::select! {
        lease = store.lease(place.title) => lease?,
        () = cancel.cancelled() => return Err(Error::interrupted()),
    };
    let published = publish_alone(making, place, store, config, report, cancel).await;
    lease.give_back().await;
    published
}

/// The same, while nobody else writes the title.
pub(crate) async fn publish_alone(
    making: &impl Making,
    place: Place<'_>,
    store: &dyn Store,
    config: &Encoder,
    report: &Arc<dyn Report>,
    cancel: &Cancel,
) -> Result<Published, Error> {
    let started = Instant::now();
    let title = place.title;
    // A pointer that cannot be replaced is told of before the work, not after.
    let before = publish::pointer(store, title).await?;
    let tools = Tools::new(config)?;
    report.notice(tools.sandbox.notice());
    let prepared = making.prepare(&tools, report, cancel).await?;
    let version = VersionId::from_u128(uuid::Uuid::now_v7().as_u128());
    let job = Job { title: title.clone(), version, store: absolute(place.store)? };
    let work = Work::create(&config.work_dir, &job)?;
    let station = Station { job: &job, tools: &tools, folder: work.folder(), report, cancel };
    let made = async {
        let product = making.make(prepared, &station).await?;
        publish(&product, store, &station).await?;
        Ok(product)
    };
    let made: Result<Product, Error> = made.await;
    // What cannot be cleaned up is noted; the outcome stays what it is.
    let cleaned = match &made {
        Ok(_) => work.remove(),
        // The pointer may still arrive: taken back now, the version would be live without its bytes.
        Err(error) if error.is_unsure() => Err(Error::storage(
            stored::version_prefix(title, version),
            "kept, as the write that failed may still be carried out",
        )),
        // Should this fail, the work folder stays and tells the next run what to take back.
        Err(_) => match work::take_back(store, title, version).await {
            Ok(_) => work.remove(),
            Err(e) => Err(e),
        },
    };
    if let Err(e) = cleaned {
        report.notice(&format!("not cleaned up: {e}; the next encode takes back what is not live"));
    }
    if made.is_ok() {
        let displaced = before.and_then(|pointer| pointer.live);
        retire(store, title, displaced, config, report.as_ref()).await;
    }
    report.end();
    let Product { tracks, texts, duration_ms, .. } = made?;
    let took_s = started.elapsed().as_secs_f64();
    Ok(Published { title: title.clone(), version, tracks, texts, duration_ms, took_s })
}

/// Objects, facts, heads; everything read back; the pointer.
async fn publish(product: &Product, store: &dyn Store, station: &Station<'_>) -> Result<(), Error> {
    let Station { job, report, cancel, .. } = station;
    let Product { tracks, texts, facts, .. } = product;
    let (title, version) = (&job.title, job.version);
    // Under the lease nobody else changes the pointer.
    let before = publish::pointer(store, title).await?;
    let access_class = before.and_then(|pointer| pointer.access_class);
    let heads = publish::heads(title, version, access_class, tracks)?;
    let meter = Meter::start(report, Stage::Publish);
    publish::write_texts(store, title, version, texts).await?;
    publish::write(store, title, version, tracks, facts, &heads, cancel).await?;
    meter.at(1.0);
    let meter = Meter::start(report, Stage::Verify);
    let whole: u64 = tracks.iter().map(|track| track.object().len_bytes).sum();
    let mut read = 0;
    let mut on_bytes = |bytes| {
        read += bytes;
        meter.of(read, whole);
    };
    publish::read_back(store, title, version, (facts, &heads), cancel, &mut on_bytes).await?;
    cancel.check()?;
    publish::go_live(store, title, version).await
}

/// After a publication: the version before begins its grace, and those at its end are removed.
/// What fails here is tried again by the next encode of the title, or by `sweep`.
pub(crate) async fn retire(
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

/// The store as it is valid from any working directory.
fn absolute(store: &config::Store) -> Result<config::Store, Error> {
    let mut store = store.clone();
    if let StoreUrl::File(folder) = &mut store.url {
        *folder = std::path::absolute(&*folder).map_err(|e| Error::storage(folder.display(), e))?;
    }
    Ok(store)
}
