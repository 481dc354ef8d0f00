//! A title's publication lease in a bucket: an object that says who holds it, rewritten again and
//! again while the holder lives.
//!
//! ```text
//! there is none        ──► write ours, only where there is none
//! it changes           ──► somebody lives: refused
//! it stays for TTL     ──► its holder is dead: replace it, only where it is still that one
//! ```
//!
//! No clock is compared with another machine's: who waits measures how long the object stays the
//! same, who holds measures since when it has last said that it lives. A server that ignores the
//! conditions of a write is found out by a second write, and then the last of two writers wins and
//! both look again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use headwater_packager::ids::TitleId;
use headwater_store::{Condition, Fault, Small, Writer};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::s3::failed;
use crate::error::{Error, Kind};

/// How long a lease lasts that nobody renews.
pub(super) const TTL: Duration = Duration::from_secs(30);
/// How often the holder renews it.
const BEAT: Duration = Duration::from_secs(8);
/// How long before the end nothing is begun any more, and what a write under it may take.
pub(super) const MARGIN: Duration = Duration::from_secs(10);
/// How often one who waits looks.
const LOOK: Duration = Duration::from_secs(2);
/// Between a renewal that failed and the next.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Longer than the time between looking and writing, on a server that ignores conditions.
const SETTLE: Duration = Duration::from_secs(3);
/// Bytes of the object.
const LEN_BYTES: usize = 1024;

/// A lease that this process holds, or held.
#[derive(Debug)]
pub(super) struct Held {
    title: TitleId,
    holder: String,
    said: Mutex<Said>,
    lost: AtomicBool,
}

/// The last that was written, and when that writing began.
#[derive(Clone, Debug)]
struct Said {
    at: Instant,
    beat: u64,
    tag: String,
}

/// The object.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// A fresh UUID for each lease.
    holder: String,
    beat: u64,
}

impl Held {
    /// An error once another may have the lease.
    pub(super) fn check(&self) -> Result<(), Error> {
        let lasts = self.said().at + (TTL - MARGIN);
        if Instant::now() < lasts && !self.lost.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(Error::storage(
            key(&self.title),
            "the right to write this title was lost: the store could not be reached for too long, \
             or another encoder took it; nothing was published, start again",
        ))
    }

    fn said(&self) -> Said {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn heard(&self, said: Said) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = said;
    }
}

/// Takes the title's lease. Waits up to [`TTL`] where it is not clear whether its holder lives.
pub(super) async fn take(writer: &Writer, title: &TitleId) -> Result<Arc<Held>, Error> {
    let holder = Uuid::now_v7().to_string();
    let key = key(title);
    let wait_until = Instant::now() + TTL;
    let mut seen = look(writer, &key).await?;
    // Each round sees the object gone or replaced, which ends soon unless titles are fought over.
    loop {
        let condition = match &seen {
            None => Condition::Absent,
            Some((_, tag)) if Instant::now() >= wait_until => Condition::Is(tag),
            Some((note, _)) => {
                sleep(LOOK).await;
                match look(writer, &key).await? {
                    Some((now, _)) if now != *note => return Err(taken(title)),
                    now => seen = now,
                }
                continue;
            }
        };
        let at = Instant::now();
        match write(writer, &key, &holder, 0, condition).await {
            Ok(tag) => return settle(writer, title, holder, Said { at, beat: 0, tag }).await,
            // Perhaps our own write, whose answer was lost.
            Err(e) if e.fault() == Fault::Precondition => match look(writer, &key).await? {
                Some((note, tag)) if note.holder == holder => {
                    return Ok(held(title, holder, Said { at, beat: 0, tag }));
                }
                _ => return Err(taken(title)),
            },
            Err(e) => return Err(failed(&e)),
        }
    }
}

/// Renews the lease until it is given back; the future gives it back.
pub(super) fn keep(
    writer: Writer,
    held: Arc<Held>,
) -> (JoinHandle<()>, impl Future<Output = ()> + Send + 'static) {
    let renewing = tokio::spawn(renew(writer.clone(), Arc::clone(&held)));
    let farewell = async move {
        // Another's is not ours to remove. Should this fail, the next one waits for it to end.
        if held.check().is_ok() {
            let _ = writer.delete(&key(&held.title)).await;
        }
    };
    (renewing, farewell)
}

/// Makes sure that the write was heeded as it was meant: a second one must be refused. Where it is
/// not, two writers may both have succeeded, and the last one has it.
async fn settle(
    writer: &Writer,
    title: &TitleId,
    holder: String,
    mut said: Said,
) -> Result<Arc<Held>, Error> {
    let key = key(title);
    match write(writer, &key, &holder, 0, Condition::Absent).await {
        Err(e) if e.fault() == Fault::Precondition => {}
        Err(e) => return Err(failed(&e)),
        Ok(_) => {
            sleep(SETTLE).await;
            match look(writer, &key).await? {
                Some((note, tag)) if note.holder == holder => said.tag = tag,
                _ => return Err(taken(title)),
            }
        }
    }
    Ok(held(title, holder, said))
}

async fn renew(writer: Writer, held: Arc<Held>) {
    let key = key(&held.title);
    sleep(BEAT).await;
    while held.check().is_ok() {
        let before = held.said();
        let (at, beat) = (Instant::now(), before.beat + 1);
        let written = write(&writer, &key, &held.holder, beat, Condition::Is(&before.tag)).await;
        match written {
            Ok(tag) => {
                held.heard(Said { at, beat, tag });
                sleep(BEAT).await;
            }
            Err(e) if e.fault() == Fault::Precondition => match look(&writer, &key).await {
                // Ours: the answer to an earlier write was lost.
                Ok(Some((note, tag))) if note.holder == held.holder => {
                    held.heard(Said { tag, ..before });
                }
                Ok(_) => held.lost.store(true, Ordering::Relaxed),
                Err(_) => sleep(TRY_AGAIN).await,
            },
            Err(_) => sleep(TRY_AGAIN).await,
        }
    }
}

fn held(title: &TitleId, holder: String, said: Said) -> Arc<Held> {
    let (said, lost) = (Mutex::new(said), AtomicBool::new(false));
    Arc::new(Held { title: title.clone(), holder, said, lost })
}

async fn look(writer: &Writer, key: &str) -> Result<Option<(Note, String)>, Error> {
    match writer.reader().small(key, LEN_BYTES, None).await {
        Ok(Small::Object(json, tag)) => {
            let note = serde_json::from_slice(&json);
            let odd = |e| Error::storage(key, format!("is no lease of ours ({e}); remove it"));
            Ok(Some((note.map_err(odd)?, tag)))
        }
        Ok(Small::Unchanged) => Err(Error::storage(key, "compared with nothing")),
        Err(e) if e.fault() == Fault::NotFound => Ok(None),
        Err(e) => Err(failed(&e)),
    }
}

async fn write(
    writer: &Writer,
    key: &str,
    holder: &str,
    beat: u64,
    condition: Condition<'_>,
) -> Result<String, headwater_store::Error> {
    let json = serde_json::to_vec(&Note { holder: holder.to_owned(), beat })
        .expect("a note is plain data");
    writer.put(key, Bytes::from(json), condition).await
}

fn key(title: &TitleId) -> String {
    format!("leases/{title}")
}

fn taken(title: &TitleId) -> Error {
    Error::new(
        Kind::Taken,
        format!("title {title} is being encoded by another process; wait for it or stop it first"),
    )
}
