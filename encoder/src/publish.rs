//! Publication: objects, facts, heads; everything read back; and last the pointer, which is the
//! only thing that readers follow. A reader sees the title as it was, or as it is now.

use std::sync::Arc;

use bytes::Bytes;
use headwater_config::Encoder;
use headwater_packager::heads::HeadsWriter;
use headwater_packager::ids::{TitleId, VersionId};
use headwater_packager::limits::POINTER_BYTES;
use headwater_packager::stored::{self, Pointer};

use crate::audit;
use crate::cancel::Cancel;
use crate::error::{Error, Kind};
use crate::facts;
use crate::remux::Made;
use crate::report::{Meter, Report, Stage};
use crate::retention::{self, Terms};
use crate::store::Store;
use crate::text::Text;
use crate::version;

/// The first and only publication of a finished version's heads.
const SEQ: u64 = 1;

/// A version as it was made, before it is in a store.
#[derive(Clone, Debug)]
pub struct Product {
    /// Its tracks, video first.
    pub tracks: Vec<Made>,
    /// Its texts.
    pub texts: Vec<Text>,
    /// `facts.json`.
    pub facts: Bytes,
    /// Length of the picture in milliseconds.
    pub duration_ms: u64,
}

/// Who is told while a version is published, and what may stop it.
pub(crate) struct Watch<'a> {
    /// How far it is.
    pub(crate) report: &'a Arc<dyn Report>,
    /// Bytes that were read back.
    pub(crate) on_bytes: &'a (dyn Fn(u64) + Sync),
    /// Whether to go on.
    pub(crate) cancel: &'a Cancel,
}

/// What became of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Went {
    /// It is live, in the place of this one.
    Live(Option<VersionId>),
    /// The title has this later version, which stays.
    Superseded(VersionId),
}

/// Publishes a version: texts, objects, facts, heads; everything read back; the pointer. The caller holds
/// the title's lease, and has the version before [retired](retire) then.
pub(crate) async fn version(
    store: &dyn Store,
    (title, version): (&TitleId, VersionId),
    product: &Product,
    watch: &Watch<'_>,
) -> Result<Went, Error> {
    let Watch { report, on_bytes, cancel } = watch;
    let Product { tracks, texts, facts, .. } = product;
    let before = pointer(store, title).await?;
    let displaced = before.as_ref().and_then(|pointer| pointer.live);
    if let Some(later) = later(displaced, version) {
        return Ok(Went::Superseded(later));
    }
    let heads = heads(title, version, before.and_then(|pointer| pointer.access_class), tracks)?;
    let meter = Meter::start(report, Stage::Publish);
    write_texts(store, title, version, texts).await?;
    write(store, title, version, tracks, facts, &heads, cancel).await?;
    meter.at(1.0);
    let meter = Meter::start(report, Stage::Verify);
    let whole: u64 = tracks.iter().map(|track| track.object().len_bytes).sum();
    let mut read = 0;
    let mut read_on = |bytes| {
        read += bytes;
        meter.of(read, whole);
        on_bytes(bytes);
    };
    read_back(store, title, version, (facts, &heads), cancel, &mut read_on).await?;
    cancel.check()?;
    // Should the lease have been lost meanwhile.
    let now = pointer(store, title).await?.and_then(|pointer| pointer.live);
    if let Some(later) = later(now, version) {
        return Ok(Went::Superseded(later));
    }
    go_live(store, title, version).await?;
    Ok(Went::Live(displaced))
}

/// What is told of a version that is not published because the title has a later one.
pub(crate) fn superseded(title: &TitleId, later: VersionId) -> Error {
    let text = format!("{title} got a later version meanwhile, {later}, which stays");
    Error::new(Kind::Taken, text)
}

/// Ids rise with time: what was asked for later is not displaced by what was asked for before.
pub(crate) fn later(live: Option<VersionId>, version: VersionId) -> Option<VersionId> {
    live.filter(|live| *live > version)
}

/// After a publication: the version before begins its grace, and those at its end are removed.
/// What fails here is tried again by the next publication of the title, or by `sweep`.
pub(crate) async fn retire(
    store: &dyn Store,
    title: &TitleId,
    displaced: Option<VersionId>,
    config: &Encoder,
    report: &dyn Report,
) {
    let terms = Terms { now_ms: version::unix_ms(), grace_ms: version::grace_ms(config) };
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

/// The title's pointer; `None` for a title that was never published.
pub async fn pointer(store: &dyn Store, title: &TitleId) -> Result<Option<Pointer>, Error> {
    let key = stored::pointer_key(title);
    let Some(bytes) = store.small(&key, POINTER_BYTES).await? else {
        return Ok(None);
    };
    let damaged = |e| {
        Error::new(
            Kind::StoredDamage,
            format!(
                "{key}: {e}; `inspect` lists the versions: write the pointer anew or remove it"
            ),
        )
    };
    Pointer::parse(&bytes).map(Some).map_err(damaged)
}

/// The bytes of a version's heads, checked as a reader would check them.
/// `access_class` is the title's.
pub fn heads(
    title: &TitleId,
    version: VersionId,
    access_class: Option<String>,
    made: &[Made],
) -> Result<Bytes, Error> {
    let mut writer = HeadsWriter::new(title.clone(), version, SEQ).access_class(access_class);
    let refused = |e: headwater_packager::Error| Error::tool(format!("heads of {title}: {e}"));
    for track in made {
        writer.track(track.head.clone(), &track.init, &track.rows).map_err(refused)?;
    }
    let bytes = Bytes::from(writer.finish());
    headwater_packager::title::Title::open(&bytes).map_err(refused)?;
    Ok(bytes)
}

/// Writes everything of a version: the track files, which are taken away, then facts, then heads.
pub async fn write(
    store: &dyn Store,
    title: &TitleId,
    version: VersionId,
    made: &[Made],
    facts: &Bytes,
    heads: &Bytes,
    cancel: &Cancel,
) -> Result<(), Error> {
    for track in made {
        cancel.check()?;
        let key = stored::object_key(title, version, &track.object().name);
        // A large object takes its time; dropped half sent, it never appears.
        tokio::select! {
            put = store.put_file(&key, &track.path) => put?,
            () = cancel.cancelled() => return Err(Error::interrupted()),
        }
    }
    cancel.check()?;
    store.put(&stored::object_key(title, version, facts::NAME), facts.clone()).await?;
    store.put(&stored::heads_key(title, version), heads.clone()).await
}

/// Writes texts, and reads each back.
pub async fn write_texts(
    store: &dyn Store,
    title: &TitleId,
    version: VersionId,
    texts: &[Text],
) -> Result<(), Error> {
    for text in texts {
        let key = stored::object_key(title, version, &text.name);
        let bytes = Bytes::from(text.webvtt.clone());
        store.put(&key, bytes.clone()).await?;
        if store.small(&key, bytes.len()).await? != Some(bytes) {
            return Err(Error::storage(
                key,
                "reads back other than it was written; check the disk",
            ));
        }
    }
    Ok(())
}

/// Reads everything back, each byte against what was written.
pub async fn read_back(
    store: &dyn Store,
    title: &TitleId,
    version: VersionId,
    (facts, heads): (&Bytes, &Bytes),
    cancel: &Cancel,
    on_bytes: &mut (dyn FnMut(u64) + Send),
) -> Result<(), Error> {
    for (name, written) in [(facts::NAME, facts), ("heads.bin", heads)] {
        let key = stored::object_key(title, version, name);
        if store.small(&key, written.len()).await?.as_ref() != Some(written) {
            return Err(Error::storage(
                key,
                "reads back other than it was written; check the disk",
            ));
        }
    }
    let opened = audit::open(store, title, version).await?;
    let opened = opened.ok_or_else(|| Error::storage("heads.bin", "is gone"))?;
    let damages = audit::audit(store, &opened, cancel, on_bytes).await?;
    match damages.first() {
        None => Ok(()),
        Some(damage) => Err(Error::storage(
            stored::version_prefix(title, version),
            format!("{damage}: it reads back other than it was written; check the disk"),
        )),
    }
}

/// Points the title at a version that is complete: the commit. A write whose answer was lost is
/// looked for: where the pointer names the version, it was carried out.
pub async fn go_live(store: &dyn Store, title: &TitleId, version: VersionId) -> Result<(), Error> {
    let before = pointer(store, title).await?;
    let access_class = before.and_then(|pointer| pointer.access_class);
    let after = Pointer::to_live(version, access_class);
    match store.put(&stored::pointer_key(title), after.to_json().into()).await {
        Err(error) if error.is_unsure() => match pointer(store, title).await {
            Ok(Some(now)) if now.live == Some(version) => Ok(()),
            // Not there yet is not never: the write may still be on its way.
            _ => Err(error),
        },
        put => put,
    }
}
