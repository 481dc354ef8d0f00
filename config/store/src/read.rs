//! Reading. The type has no way to write, so an origin that holds it cannot.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use bytes::Bytes;
use headwater_config::{Bucket, S3};

use crate::body::{self, Spoiled};
use crate::client::Place;
use crate::error::{Error, Fault};
use crate::limits;

/// A bucket to read from. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(crate) place: Arc<Place>,
}

/// The answer to a conditional read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Small {
    /// The object is what it was.
    Unchanged,
    /// The object and its entity tag; empty where the server gives none.
    Object(Bytes, String),
}

/// An object as it was found: what is read of it later is of this one, or of none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Bytes.
    pub len_bytes: u64,
    /// Its entity tag; empty where the server gives none.
    pub tag: String,
}

/// An object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its key, without the store's prefix.
    pub key: String,
    /// Bytes.
    pub len_bytes: u64,
    /// When it was written, in milliseconds since 1970; 0 where the server does not say.
    pub modified_ms: i64,
}

impl Reader {
    /// The store in `bucket`. Nothing is asked for yet, credentials neither.
    ///
    /// # Errors
    /// Where `ca_file` holds no authority.
    pub fn new(bucket: &Bucket, settings: &S3) -> Result<Self, Error> {
        Ok(Self { place: Arc::new(Place::new(bucket, settings)?) })
    }

    /// Exactly these bytes of an object, in one request; one more where the body breaks off.
    ///
    /// # Errors
    /// [`Fault::Short`] where the object ends before the range does.
    pub async fn range(&self, key: &str, bytes: Range<u64>) -> Result<Bytes, Error> {
        let (wanted, from) = (bytes.end - bytes.start, bytes.start);
        let read = self.range_or_end(key, bytes).await?;
        if read.len() as u64 == wanted {
            return Ok(read);
        }
        let detail =
            format!("expected {wanted} bytes from byte {from}, the object has {}", read.len());
        Err(self.error(key, Fault::Short, detail))
    }

    /// The same; fewer bytes where the object ends.
    ///
    /// # Errors
    /// Any fault but [`Fault::Short`].
    pub async fn range_or_end(&self, key: &str, bytes: Range<u64>) -> Result<Bytes, Error> {
        if bytes.is_empty() {
            return Ok(Bytes::new());
        }
        self.again_if_broken(|| self.range_once(key, bytes.clone(), None)).await
    }

    /// How long an object is, and its tag: by its first byte, as an answer without a body does not say
    /// what is wrong.
    ///
    /// # Errors
    /// Any fault but [`Fault::Short`]: an empty object is found too.
    pub async fn find(&self, key: &str) -> Result<Found, Error> {
        let output = match self.get(key).await.range("bytes=0-0").send().await {
            Ok(output) => output,
            Err(e) => {
                let error = self.refused(key, &e);
                let is_empty = error.fault() == Fault::Short;
                let empty = Found { len_bytes: 0, tag: String::new() };
                return if is_empty { Ok(empty) } else { Err(error) };
            }
        };
        self.part_len(key, &(0..1), &output)?;
        let said = output.content_range().unwrap_or_default();
        let whole = said.rsplit_once('/').and_then(|(_, whole)| whole.parse().ok());
        let detail = || format!("the server does not say how long it is: {said:?}");
        let len_bytes = whole.ok_or_else(|| self.error(key, Fault::Unavailable, detail()))?;
        Ok(Found { len_bytes, tag: output.e_tag.unwrap_or_default() })
    }

    /// Exactly these bytes of the object that has this entity tag.
    ///
    /// # Errors
    /// [`Fault::Precondition`] where another has taken its place, [`Fault::Short`] where it ends before
    /// the range does.
    pub async fn range_of(&self, key: &str, bytes: Range<u64>, tag: &str) -> Result<Bytes, Error> {
        let (wanted, from) = (bytes.end - bytes.start, bytes.start);
        let once = || self.range_once(key, bytes.clone(), Some(tag));
        let read = self.again_if_broken(once).await?;
        if read.len() as u64 == wanted {
            return Ok(read);
        }
        let detail =
            format!("expected {wanted} bytes from byte {from}, the object has {}", read.len());
        Err(self.error(key, Fault::Short, detail))
    }

    /// A whole object of at most `max_bytes`, unless `known` is still its entity tag.
    ///
    /// # Errors
    /// [`Fault::TooLarge`] for a larger one.
    pub async fn small(
        &self,
        key: &str,
        max_bytes: usize,
        known: Option<&str>,
    ) -> Result<Small, Error> {
        self.again_if_broken(|| self.small_once(key, max_bytes, known)).await
    }

    /// Every object whose key begins with `prefix`, in key order.
    ///
    /// # Errors
    /// [`Fault::TooLarge`] for more than `max`.
    pub async fn list(&self, prefix: &str, max: usize) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        let mut pages = Pages::new(self, prefix, None);
        while let Some(page) = pages.next(limits::PAGE).await? {
            for object in page.contents() {
                let Some(key) = object.key().and_then(|key| self.ours(key)) else { continue };
                let len_bytes = u64::try_from(object.size().unwrap_or(0)).unwrap_or(0);
                let modified_ms = object.last_modified().map_or(0, |time| time.secs() * 1_000);
                entries.push(Entry { key: key.to_owned(), len_bytes, modified_ms });
            }
            if entries.len() > max {
                return Err(self.error(
                    prefix,
                    Fault::TooLarge,
                    format!("more than {max} objects"),
                ));
            }
        }
        Ok(entries)
    }

    /// The first `max` names right below `prefix`, which ends with `/`: what others call folders.
    ///
    /// # Errors
    /// As any request.
    pub async fn children(&self, prefix: &str, max: usize) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        let mut pages = Pages::new(self, prefix, Some("/"));
        while names.len() < max {
            let Some(page) = pages.next(limits::PAGE.min(max - names.len())).await? else { break };
            let found = page.common_prefixes().iter().filter_map(|common| common.prefix());
            let found = found.filter_map(|key| self.ours(key)?.strip_prefix(prefix));
            names.extend(found.map(|name| name.trim_end_matches('/').to_owned()));
        }
        names.truncate(max);
        Ok(names)
    }

    /// Whether objects under `prefix` can be read, and a missing one told from a forbidden one.
    ///
    /// # Errors
    /// [`Fault::Denied`] says which permission is missing, and where.
    pub async fn probe(&self, prefix: &str) -> Result<(), Error> {
        // No title's key: those have a name and a slash behind the prefix.
        let absent = format!("{prefix}.headwater-probe");
        let denied = match self.small(&absent, 0, None).await {
            Err(e) if e.fault() == Fault::Denied => e,
            Err(e) if !matches!(e.fault(), Fault::NotFound | Fault::TooLarge) => return Err(e),
            _ => return Ok(()),
        };
        // Words about the credentials themselves need no second look.
        if denied.status().is_none() || denied.code().is_some_and(|code| code != "AccessDenied") {
            return Err(denied);
        }
        let listed = Pages::new(self, prefix, Some("/")).next(1).await;
        let (bucket, key) = (self.place.bucket.name(), self.place.key(prefix));
        let missing = match listed {
            Ok(_) => format!("s3:GetObject on arn:aws:s3:::{bucket}/{key}* is not granted"),
            Err(e) if e.fault() == Fault::Denied => format!(
                "s3:ListBucket on arn:aws:s3:::{bucket} is not granted for the prefix {key}, so \
                 that a missing object cannot be told from a forbidden one; s3:GetObject on \
                 arn:aws:s3:::{bucket}/{key}* may be missing too"
            ),
            Err(e) => return Err(e),
        };
        Err(self.error(prefix, Fault::Denied, format!("{missing}; docs/s3.md has the policy")))
    }

    pub(crate) fn error(&self, key: &str, fault: Fault, detail: impl Into<String>) -> Error {
        Error::new(fault, self.place.bucket.name(), &self.place.key(key), detail)
    }

    /// A key of the bucket as one of ours.
    fn ours<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(self.place.bucket.prefix())
    }

    /// Asks once more where a body broke off after its answer had begun well. What never began
    /// the SDK has already repeated.
    async fn again_if_broken<T, F>(&self, read: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Broken>>,
    {
        let mut attempt = 1;
        loop {
            match read().await {
                Ok(read) => return Ok(read),
                Err(Broken::Body(_)) if attempt < limits::BODY_ATTEMPTS => attempt += 1,
                Err(Broken::Body(e) | Broken::Request(e)) => return Err(e),
            }
        }
    }

    async fn range_once(
        &self,
        key: &str,
        bytes: Range<u64>,
        tag: Option<&str>,
    ) -> Result<Bytes, Broken> {
        let last = bytes.end - 1;
        let request = self.get(key).await.range(format!("bytes={}-{last}", bytes.start));
        let request = request.set_if_match(tag.map(str::to_owned));
        let output = match request.send().await {
            Ok(output) => output,
            Err(e) => {
                let error = self.refused(key, &e);
                let behind_the_end = error.fault() == Fault::Short;
                return if behind_the_end { Ok(Bytes::new()) } else { Err(error.into()) };
            }
        };
        // Some servers do not know If-Match here.
        if let (Some(wanted), Some(got)) = (tag, output.e_tag())
            && wanted != got
        {
            let detail = format!("expected the object with the tag {wanted}, got {got}");
            return Err(self.error(key, Fault::Precondition, detail).into());
        }
        let len = self.part_len(key, &bytes, &output)?;
        body::exactly(output.body, len).await.map_err(|spoiled| self.spoiled(key, spoiled))
    }

    /// How many bytes the answer to a ranged read holds: all that were asked for, or what the
    /// object has of them. Any other part is none that we can use.
    fn part_len(
        &self,
        key: &str,
        asked: &Range<u64>,
        output: &GetObjectOutput,
    ) -> Result<usize, Error> {
        let said = output.content_range().unwrap_or("no range");
        let good = content_range(said)
            .filter(|(part, whole)| part.start == asked.start && part.end == asked.end.min(*whole));
        let len = good.and_then(|(part, _)| usize::try_from(part.end - part.start).ok());
        len.ok_or_else(|| {
            let detail = format!("asked for {asked:?}, the server answers with {said}");
            self.error(key, Fault::Unavailable, detail)
        })
    }

    async fn small_once(
        &self,
        key: &str,
        max_bytes: usize,
        known: Option<&str>,
    ) -> Result<Small, Broken> {
        // Without a tag there is nothing to compare by.
        let known = known.filter(|tag| !tag.is_empty());
        let request = self.get(key).await.set_if_none_match(known.map(str::to_owned));
        let output = match request.send().await {
            Ok(output) => output,
            Err(e) if e.raw_response().is_some_and(|raw| raw.status().as_u16() == 304) => {
                return Ok(Small::Unchanged);
            }
            Err(e) => return Err(self.refused(key, &e).into()),
        };
        let promised = output.content_length().and_then(|len| usize::try_from(len).ok());
        let tag = output.e_tag.unwrap_or_default();
        let read = match promised {
            Some(len) if len <= max_bytes => body::exactly(output.body, len).await,
            Some(_) => Err(Spoiled::TooLong),
            None => body::at_most(output.body, 0, max_bytes).await,
        };
        let read = match read {
            Err(Spoiled::TooLong) => {
                let detail = format!("more than {max_bytes} bytes");
                return Err(self.error(key, Fault::TooLarge, detail).into());
            }
            read => read.map_err(|spoiled| self.spoiled(key, spoiled))?,
        };
        // Some servers do not know If-None-Match here.
        let same = known.is_some_and(|known| known == tag);
        Ok(if same { Small::Unchanged } else { Small::Object(read, tag) })
    }

    async fn get(&self, key: &str) -> GetObjectFluentBuilder {
        let place = &self.place;
        place.client().await.get_object().bucket(place.bucket.name()).key(place.key(key))
    }

    pub(crate) fn refused<E>(&self, key: &str, error: &SdkError<E, HttpResponse>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        Error::of_request(self.place.bucket.name(), &self.place.key(key), error)
    }

    fn spoiled(&self, key: &str, spoiled: Spoiled) -> Broken {
        let error = |fault, detail| self.error(key, fault, detail);
        Broken::Body(match spoiled {
            Spoiled::Broken(got, e) => {
                Error::of_body(self.place.bucket.name(), &self.place.key(key), got, &e)
            }
            Spoiled::Ended(got) => {
                error(Fault::Unavailable, format!("the body ended after {got} bytes"))
            }
            Spoiled::TooLong => {
                error(Fault::Unavailable, "the body is longer than its header says".to_owned())
            }
            Spoiled::NoMemory => {
                return error(Fault::TooLarge, "there is no memory for it".to_owned()).into();
            }
        })
    }
}

/// Where a read failed: a body is worth asking for again.
enum Broken {
    Request(Error),
    Body(Error),
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Request(error)
    }
}

/// The pages of one listing, bounded.
struct Pages<'a> {
    reader: &'a Reader,
    prefix: &'a str,
    delimiter: Option<&'a str>,
    token: Option<String>,
    seen: usize,
    ended: bool,
}

impl<'a> Pages<'a> {
    fn new(reader: &'a Reader, prefix: &'a str, delimiter: Option<&'a str>) -> Self {
        Self { reader, prefix, delimiter, token: None, seen: 0, ended: false }
    }

    /// The next page, of at most `max` entries.
    async fn next(&mut self, max: usize) -> Result<Option<ListObjectsV2Output>, Error> {
        if self.ended {
            return Ok(None);
        }
        if self.seen == limits::PAGES {
            let detail = format!("a listing of more than {} pages", limits::PAGES);
            return Err(self.reader.error(self.prefix, Fault::TooLarge, detail));
        }
        let place = &self.reader.place;
        let request = place.client().await.list_objects_v2().bucket(place.bucket.name());
        let page = request
            .prefix(place.key(self.prefix))
            .set_delimiter(self.delimiter.map(str::to_owned))
            .max_keys(i32::try_from(max).unwrap_or(i32::MAX))
            .set_continuation_token(self.token.take())
            .send()
            .await
            .map_err(|e| self.reader.refused(self.prefix, &e))?;
        self.seen += 1;
        self.token = page.next_continuation_token().map(str::to_owned);
        self.ended = self.token.is_none() || page.is_truncated() != Some(true);
        Ok(Some(page))
    }
}

/// `bytes 0-9/20` as (0..10, 20); an unknown length (`*`) is as if nothing came behind the part.
fn content_range(value: &str) -> Option<(Range<u64>, u64)> {
    let (part, whole) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = part.split_once('-')?;
    let part = first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?;
    let whole = if whole == "*" { part.end } else { whole.parse().ok()? };
    (part.start < part.end && part.end <= whole).then_some((part, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        let table = [
            ("bytes 0-9/20", Some((0..10, 20))),
            ("bytes 5-5/6", Some((5..6, 6))),
            ("bytes 0-9/*", Some((0..10, 10))),
            ("bytes 0-9/9", None),
            ("bytes 9-0/20", None),
            ("bytes 0-18446744073709551615/20", None),
            ("bytes */20", None),
            ("no range", None),
        ];
        for (value, wanted) in table {
            assert_eq!(content_range(value), wanted, "{value}");
        }
    }
}
