//! A new version of a title, from the lease to the commit. Whatever goes wrong in between, the title
//! stays as it was and nothing half made is left behind.
//!
//! What its tracks are made from, and how, is [`Making`]'s: an encode of a film, an import of a ladder.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use headwater_config::{self as config, Encoder, StoreUrl};
use headwater_packager::heads::TrackHead;
use headwater_packager::ids::{TitleId, VersionId};
use headwater_packager::stored;

use crate::cancel::Cancel;
use crate::error::Error;
use crate::ffmpeg::Tools;
use crate::publish::{self, Product};
use crate::report::Report;
use crate::store::{self, Store};
use crate::text::Text;
use crate::work::{self, Job, Work};

/// How a version comes about.
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

    /// Makes the version in the station's folder, and publishes it.
    async fn publish(
        &self,
        prepared: Self::Prepared,
        station: &Station<'_>,
    ) -> Result<Shown, Error>;
}

/// Where one version is made.
pub(crate) struct Station<'a> {
    /// Title, version, store.
    pub job: &'a Job,
    /// The store itself; the title is held.
    pub store: &'a Arc<dyn Store>,
    /// ffmpeg.
    pub tools: &'a Tools,
    /// A folder of its own.
    pub folder: &'a Path,
    /// Who is told.
    pub report: &'a Arc<dyn Report>,
    /// Whether to go on.
    pub cancel: &'a Cancel,
}

/// What is told of a version that is live.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// Its tracks, video first.
    pub(crate) tracks: Vec<TrackHead>,
    /// Its texts.
    pub(crate) texts: Vec<Text>,
    /// Length of the picture in milliseconds.
    pub(crate) duration_ms: u64,
}

impl From<&Product> for Shown {
    fn from(product: &Product) -> Self {
        Self {
            tracks: product.tracks.iter().map(|track| track.head.clone()).collect(),
            texts: product.texts.clone(),
            duration_ms: product.duration_ms,
        }
    }
}

/// What was published.
#[derive(Debug)]
pub struct Published {
    /// The title.
    pub title: TitleId,
    /// Its new live version.
    pub version: VersionId,
    /// Its tracks, video first, each in one object.
    pub tracks: Vec<TrackHead>,
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
    let store: Arc<dyn Store> = store::open(place.store)?.into();
    let lease = tokio::select! {
        lease = store.lease(place.title) => lease?,
        () = cancel.cancelled() => return Err(Error::interrupted()),
    };
    let published = publish_alone(making, place, &store, config, report, cancel).await;
    lease.give_back().await;
    published
}

/// The same, while nobody else writes the title.
pub(crate) async fn publish_alone(
    making: &impl Making,
    place: Place<'_>,
    store: &Arc<dyn Store>,
    config: &Encoder,
    report: &Arc<dyn Report>,
    cancel: &Cancel,
) -> Result<Published, Error> {
    let started = Instant::now();
    let title = place.title;
    // A pointer that cannot be replaced is told of before the work, not after.
    let before = publish::pointer(store.as_ref(), title).await?;
    let tools = Tools::new(config)?;
    report.notice(tools.sandbox.notice());
    let prepared = making.prepare(&tools, report, cancel).await?;
    let version = fresh(before.and_then(|pointer| pointer.live));
    let job = Job { title: title.clone(), version, store: absolute(place.store)? };
    let work = Work::create(&config.work_dir, &job)?;
    let station =
        Station { job: &job, store, tools: &tools, folder: work.folder(), report, cancel };
    let made = making.publish(prepared, &station).await;
    // What cannot be cleaned up is noted; the outcome stays what it is.
    let cleaned = match &made {
        Ok(_) => work.remove(),
        // The pointer may still arrive: taken back now, the version would be live without its bytes.
        Err(error) if error.is_unsure() => Err(Error::storage(
            stored::version_prefix(title, version),
            "kept, as the write that failed may still be carried out",
        )),
        // Should this fail, the work folder stays and tells the next run what to take back.
        Err(_) => match work::take_back(store.as_ref(), title, version).await {
            Ok(_) => work.remove(),
            Err(e) => Err(e),
        },
    };
    if let Err(e) = cleaned {
        report.notice(&format!("not cleaned up: {e}; the next encode takes back what is not live"));
    }
    report.end();
    let Shown { tracks, texts, duration_ms } = made?;
    let took_s = started.elapsed().as_secs_f64();
    Ok(Published { title: title.clone(), version, tracks, texts, duration_ms, took_s })
}

/// A version's id: above the live one's, whatever the clock of the machine that made it said.
fn fresh(live: Option<VersionId>) -> VersionId {
    let now = uuid::Uuid::now_v7().as_u128();
    let above = live.map_or(0, |live| live.as_u128().saturating_add(1));
    VersionId::from_u128(now.max(above))
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
