//! Uploads of files: one request for a small file, a multipart upload for a large one (Amazon S3
//! API reference: CreateMultipartUpload, UploadPart, CompleteMultipartUpload).
//!
//! ```text
//! create ──► part 1 .. part n, some at a time ──► complete: the object appears
//!                 │ an error, or nobody waits any more
//!                 └──► abort: the parts are gone
//! ```
//!
//! A process that is killed leaves its parts, which cost money and are seen by nobody: a lifecycle
//! rule of the bucket removes them (docs/s3.md).

use std::fs::File;
use std::future::ready;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::config::Builder;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use crate::error::{Error, Fault};
use crate::limits;
use crate::write::{Condition, Writer};

const MIB: u64 = 1024 * 1024;

pub(crate) async fn upload(writer: &Writer, key: &str, path: &Path) -> Result<(), Error> {
    let source = Source::open(writer, key, path).await?;
    let part_bytes = u64::from(writer.reader.place.settings.part_size_mib) * MIB;
    if source.len_bytes <= part_bytes {
        let bytes = source.read(0..source.len_bytes).await?;
        return writer.put(key, bytes, Condition::None).await.map(drop);
    }
    if source.len_bytes.div_ceil(part_bytes) > limits::PARTS {
        let detail = format!(
            "{} bytes are more than {} parts of {part_bytes}; raise `store.s3.part_size_mib`",
            source.len_bytes,
            limits::PARTS
        );
        return Err(source.error(Fault::TooLarge, detail));
    }
    let running = Running::create(writer, key).await?;
    let outcome = running.send(&source, part_bytes).await;
    match outcome {
        Ok(()) => running.done(),
        Err(_) => running.abort().await,
    }
    outcome
}

/// The file that is sent.
struct Source<'a> {
    writer: &'a Writer,
    key: &'a str,
    path: &'a Path,
    file: Arc<File>,
    len_bytes: u64,
}

impl<'a> Source<'a> {
    async fn open(writer: &'a Writer, key: &'a str, path: &'a Path) -> Result<Self, Error> {
        let owned = path.to_owned();
        let opened = blocking(move || {
            let file = File::open(owned)?;
            let len_bytes = file.metadata()?.len();
            Ok((file, len_bytes))
        });
        let failed = |e| of_file(writer, key, path, &e);
        let (file, len_bytes) = opened.await.map_err(failed)?;
        Ok(Self { writer, key, path, file: Arc::new(file), len_bytes })
    }

    async fn read(&self, bytes: Range<u64>) -> Result<Bytes, Error> {
        let len = usize::try_from(bytes.end - bytes.start).unwrap_or(usize::MAX);
        let (file, from) = (Arc::clone(&self.file), bytes.start);
        let read = blocking(move || {
            let mut read = Vec::new();
            read.try_reserve_exact(len).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
            read.resize(len, 0);
            file.read_exact_at(&mut read, from)?;
            Ok(Bytes::from(read))
        });
        read.await.map_err(|e| of_file(self.writer, self.key, self.path, &e))
    }

    fn error(&self, fault: Fault, detail: String) -> Error {
        self.writer.reader.error(self.key, fault, detail)
    }
}

/// A multipart upload that was begun. Dropped unfinished, it is aborted behind the caller's back.
struct Running<'a> {
    writer: &'a Writer,
    key: &'a str,
    id: Option<String>,
}

impl<'a> Running<'a> {
    async fn create(writer: &'a Writer, key: &'a str) -> Result<Self, Error> {
        let place = &writer.reader.place;
        let request = place.client().await.create_multipart_upload();
        let sent = request.bucket(place.bucket.name()).key(place.key(key)).send().await;
        let output = sent.map_err(|e| writer.reader.refused(key, &e))?;
        let id = output.upload_id.ok_or_else(|| {
            writer.reader.error(key, Fault::Unavailable, "the server gave the upload no id")
        })?;
        Ok(Self { writer, key, id: Some(id) })
    }

    async fn send(&self, source: &Source<'_>, part_bytes: u64) -> Result<(), Error> {
        let parallel = self.writer.reader.place.settings.parallel_parts;
        let starts = (1..).zip((0..source.len_bytes).step_by(step(part_bytes)));
        let failed = AtomicBool::new(false);
        let failed = &failed;
        let sent: Vec<Result<CompletedPart, Error>> = stream::iter(starts)
            // Nothing is begun after a failure, and what was begun is waited for: a part that
            // arrives after the abort would stay.
            .take_while(|_| ready(!failed.load(Ordering::Relaxed)))
            .map(|(number, from)| async move {
                let bytes = source.read(from..source.len_bytes.min(from + part_bytes)).await;
                let sent = match bytes {
                    Ok(bytes) => self.send_part(number, bytes).await,
                    Err(e) => Err(e),
                };
                failed.fetch_or(sent.is_err(), Ordering::Relaxed);
                sent
            })
            .buffer_unordered(usize::try_from(parallel).unwrap_or(1))
            .collect()
            .await;
        let mut parts = sent.into_iter().collect::<Result<Vec<_>, _>>()?;
        parts.sort_by_key(CompletedPart::part_number);
        self.complete(parts, source.len_bytes).await
    }

    async fn send_part(&self, number: i32, bytes: Bytes) -> Result<CompletedPart, Error> {
        let place = &self.writer.reader.place;
        let config = Builder::new().timeout_config(place.upload_timeouts(bytes.len() as u64));
        let request = place.client().await.upload_part();
        let request = request.bucket(place.bucket.name()).key(place.key(self.key));
        let request = request.set_upload_id(self.id.clone()).part_number(number);
        let sent = request.body(bytes.into()).customize().config_override(config).send().await;
        let output = sent.map_err(|e| self.writer.reader.refused(self.key, &e))?;
        Ok(CompletedPart::builder().part_number(number).set_e_tag(output.e_tag).build())
    }

    /// Makes the object appear. When the answer to that was lost, a repetition is refused, by
    /// each server in its own words: the object itself says whether it worked. Keys of versions
    /// are never used twice, so what is there is ours.
    async fn complete(&self, parts: Vec<CompletedPart>, len_bytes: u64) -> Result<(), Error> {
        let reader = &self.writer.reader;
        let place = &reader.place;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = place.client().await.complete_multipart_upload();
        let request = request.bucket(place.bucket.name()).key(place.key(self.key));
        let sent = request.set_upload_id(self.id.clone()).multipart_upload(parts).send().await;
        let Err(error) = sent.map_err(|e| reader.refused(self.key, &e)) else { return Ok(()) };
        let is_it = |e: &crate::Entry| e.key == self.key && e.len_bytes == len_bytes;
        match reader.list(self.key, 1).await {
            Ok(there) if there.first().is_some_and(is_it) => Ok(()),
            _ => Err(error),
        }
    }

    fn done(mut self) {
        self.id = None;
    }

    async fn abort(mut self) {
        if let Some(id) = self.id.take() {
            abort(self.writer.clone(), self.key.to_owned(), id).await;
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let (Some(id), Ok(runtime)) = (self.id.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(abort(self.writer.clone(), self.key.to_owned(), id));
        }
    }
}

/// Takes the parts back. Should it fail, the bucket's lifecycle rule does it later; the upload's
/// own error is the one worth telling.
async fn abort(writer: Writer, key: String, id: String) {
    let place = &writer.reader.place;
    let request = place.client().await.abort_multipart_upload();
    let request = request.bucket(place.bucket.name()).key(place.key(&key)).upload_id(id);
    let _ = request.send().await;
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}

fn of_file(writer: &Writer, key: &str, path: &Path, error: &std::io::Error) -> Error {
    let detail = format!("reading {} to send it: {error}", path.display());
    writer.reader.error(key, Fault::Unavailable, detail)
}

fn step(part_bytes: u64) -> usize {
    usize::try_from(part_bytes).expect("a part fits into memory: its size has a range")
}
