//! A store that fails, forgets or lies in the middle of a publication: the title stays as it was
//! and nothing half made stays behind.

use std::ops::Range;
use std::process::Command;

use async_trait::async_trait;
use bytes::Bytes;
use headwater_config::StoreUrl;
use headwater_packager::ids::VersionId;
use headwater_packager::stored::{self, Pointer};

use super::*;
use crate::ffmpeg::Sandbox;
use crate::report::Step;
use crate::store::{Entry, Lease, Store};

/// What goes wrong, once a key ends like this.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    /// The object cannot be written.
    Put(&'static str),
    /// One bit of what is read back is another.
    Flip(&'static str),
    /// Less is read back.
    Short(&'static str),
    /// A signal comes while the object is written.
    Signal(&'static str),
    /// Somebody whose lease was lost writes a later version while the object is written.
    Later(&'static str),
}

/// The version that comes so.
fn later() -> VersionId {
    VersionId::from_u128(u128::from(u64::MAX) << 60)
}

struct Faulty {
    inner: FileStore,
    fault: Fault,
    canceller: Canceller,
}

impl Faulty {
    async fn before_put(&self, key: &str) -> Result<(), Error> {
        match self.fault {
            Fault::Put(end) if key.ends_with(end) => Err(Error::storage(key, "the disk is full")),
            Fault::Signal(end) if key.ends_with(end) => {
                self.canceller.cancel();
                Ok(())
            }
            Fault::Later(end) if key.ends_with(end) => {
                let pointer = stored::pointer_key(&"film".parse().unwrap());
                self.inner.put(&pointer, Pointer::to_live(later(), None).to_json().into()).await
            }
            _ => Ok(()),
        }
    }

    fn after_read(&self, key: &str, bytes: Bytes) -> Bytes {
        match self.fault {
            Fault::Flip(end) if key.ends_with(end) => {
                let mut bytes = bytes.to_vec();
                if let Some(last) = bytes.last_mut() {
                    *last ^= 1;
                }
                bytes.into()
            }
            Fault::Short(end) if key.ends_with(end) => bytes.slice(..bytes.len() - 1),
            _ => bytes,
        }
    }
}

#[async_trait]
impl Store for Faulty {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        self.before_put(key).await?;
        self.inner.put(key, bytes).await
    }

    async fn put_file(&self, key: &str, path: &Path) -> Result<(), Error> {
        self.before_put(key).await?;
        self.inner.put_file(key, path).await
    }

    async fn read(&self, key: &str, range: Range<u64>) -> Result<Bytes, Error> {
        Ok(self.after_read(key, self.inner.read(key, range).await?))
    }

    async fn small(&self, key: &str, limit_bytes: usize) -> Result<Option<Bytes>, Error> {
        let bytes = self.inner.small(key, limit_bytes).await?;
        Ok(bytes.map(|bytes| self.after_read(key, bytes)))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, Error> {
        self.inner.list(prefix).await
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.inner.delete(key).await
    }

    async fn lease(&self, title: &TitleId) -> Result<Lease, Error> {
        self.inner.lease(title).await
    }
}

struct Silent;

impl Report for Silent {
    fn step(&self, _: &Step) {}
    fn notice(&self, _: &str) {}
    fn end(&self) {}
}

/// One second of a moving picture with sound.
fn film(folder: &Path) -> PathBuf {
    let film = folder.join("film.mp4");
    let inputs = "-f lavfi -i testsrc2=size=64x64:rate=24:duration=1 -f lavfi -i sine=duration=1";
    let made = Command::new("ffmpeg")
        .args("-nostdin -v error".split(' '))
        .args(inputs.split(' '))
        .arg(&film)
        .status()
        .expect("these tests need ffmpeg: apt-get install ffmpeg");
    assert!(made.success());
    film
}

/// Encodes into `folder` with a fault, and says what came of it and what is stored.
fn run(folder: &Path, input: &Path, fault: Fault) -> (Result<Published, Error>, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (canceller, cancel) = cancel::pair();
        let inner = FileStore::new(&folder.join("store")).unwrap();
        let store: Arc<dyn Store> = Arc::new(Faulty { inner: inner.clone(), fault, canceller });
        let mut config = Encoder { work_dir: folder.join("work"), ..Encoder::default() };
        if Sandbox::new(config.sandbox).is_err() {
            config.sandbox = headwater_config::Sandbox::Outer;
        }
        let title: TitleId = "film".parse().unwrap();
        let url = StoreUrl::File(folder.join("store"));
        let at = config::Store { url, ..config::Store::default() };
        let place = Place { title: &title, store: &at };
        let request = Request {
            input: input.to_owned(),
            title: title.clone(),
            store: at.clone(),
            said: Vec::new(),
            sidecars: Vec::new(),
        };
        let encoding = Encoding { request: &request, config: &config };
        let report: Arc<dyn Report> = Arc::new(Silent);
        let outcome =
            version::publish_alone(&encoding, place, &store, &config, &report, &cancel).await;
        let stored = inner.list("titles/").await.unwrap();
        (outcome, stored.into_iter().map(|entry| entry.key).collect())
    })
}

#[test]
fn whatever_the_store_does_the_title_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let input = film(folder.path());
    let (published, before) = run(folder.path(), &input, Fault::None);
    published.unwrap();
    assert_eq!(before.len(), 5, "{before:?}");
    let pointer = folder.path().join("store/titles/film/title.json");
    let named = std::fs::read(&pointer).unwrap();
    let table = [
        (Fault::Put("v64.mp4"), Kind::Storage),
        (Fault::Put("a-und.mp4"), Kind::Storage),
        (Fault::Put("facts.json"), Kind::Storage),
        (Fault::Put("heads.bin"), Kind::Storage),
        (Fault::Put("title.json"), Kind::Storage),
        (Fault::Flip("v64.mp4"), Kind::Storage),
        (Fault::Flip("a-und.mp4"), Kind::Storage),
        (Fault::Flip("facts.json"), Kind::Storage),
        (Fault::Flip("heads.bin"), Kind::Storage),
        (Fault::Short("v64.mp4"), Kind::Storage),
        (Fault::Signal("v64.mp4"), Kind::Interrupted),
        (Fault::Signal("facts.json"), Kind::Interrupted),
        (Fault::Signal("heads.bin"), Kind::Interrupted),
    ];
    for (fault, kind) in table {
        let (outcome, stored) = run(folder.path(), &input, fault);
        let error = outcome.expect_err(&format!("{fault:?} went unseen"));
        assert_eq!(error.kind(), kind, "{fault:?}: {error}");
        assert_eq!(stored, before, "{fault:?}: {error}");
        assert_eq!(std::fs::read(&pointer).unwrap(), named, "{fault:?}");
        let work: Vec<_> = std::fs::read_dir(folder.path().join("work")).unwrap().collect();
        assert_eq!(work.len(), 1, "{fault:?}: only the lock stays: {work:?}");
    }
}

/// It is looked for once more when all is written, right before the pointer.
#[test]
fn a_later_version_that_comes_at_the_last_moment_stays() {
    let folder = tempfile::tempdir().unwrap();
    let input = film(folder.path());
    let (outcome, stored) = run(folder.path(), &input, Fault::Later("heads.bin"));
    let error = outcome.expect_err("the later one is displaced");
    assert_eq!(error.kind(), Kind::Taken, "{error}");
    assert_eq!(stored, ["titles/film/title.json"], "nothing else is left");
    let pointer = std::fs::read(folder.path().join("store/titles/film/title.json")).unwrap();
    assert_eq!(Pointer::parse(&pointer).unwrap().live, Some(later()));
}
