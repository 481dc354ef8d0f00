//! What a URL stands for at this moment (RFC 9110 3.2): facts that a HEAD tells, and the bytes; of
//! a text also as gzip, made when somebody first wants it.

use http::HeaderValue;
use tokio::sync::OnceCell;

use crate::cache_tags::Tags;
use crate::coding;
use crate::etag::EntityTag;
use crate::slices::Slices;

/// What can be said about a body without having it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Content-Type.
    pub content_type: HeaderValue,
    /// The body's strong tag.
    pub etag: EntityTag,
    /// The body's length.
    pub len_bytes: u64,
    /// Whether these are the facts of a body as gzip.
    pub gzip: bool,
    /// What a CDN can purge it by.
    pub tags: Tags,
}

/// Facts and body.
#[derive(Clone, Debug)]
pub struct Representation {
    /// What the header says.
    pub facts: Facts,
    /// The bytes.
    pub body: Slices,
    coded: Coded,
}

/// The same text as gzip.
#[derive(Clone, Debug)]
enum Coded {
    /// Media: nothing is won by it.
    Never,
    /// Made once; `None` inside where it would not be shorter.
    Once(OnceCell<Option<(Facts, Slices)>>),
}

impl Representation {
    /// Text that is wholly known by its bytes, such as a manifest.
    pub fn of_text(content_type: &'static str, bytes: impl Into<Slices>) -> Self {
        let body = bytes.into();
        let facts = Facts::of_body(content_type, &body);
        Self { facts, body, coded: Coded::Once(OnceCell::new()) }
    }

    /// Something else that is wholly known by its bytes, such as an init section.
    pub fn of_bytes(content_type: &'static str, bytes: impl Into<Slices>) -> Self {
        let body = bytes.into();
        Self::of_media(Facts::of_body(content_type, &body), body)
    }

    /// Media whose facts were known before its bytes.
    pub fn of_media(facts: Facts, body: Slices) -> Self {
        Self { facts, body, coded: Coded::Never }
    }

    /// The same, to be purged by these tags.
    #[must_use]
    pub fn tagged(mut self, tags: Tags) -> Self {
        self.facts.tags = tags;
        self
    }

    /// Whether what is sent depends on Accept-Encoding.
    pub fn is_text(&self) -> bool {
        matches!(self.coded, Coded::Once(_))
    }

    /// Facts and body as gzip, made now if they never were, beside the threads that serve. `None`
    /// for media, and for a text that gzip does not shorten.
    pub async fn gzipped(&self) -> Option<(&Facts, &Slices)> {
        let Coded::Once(made) = &self.coded else { return None };
        let coded = made.get_or_try_init(|| async {
            let parts = self.body.clone();
            let coding = tokio::task::spawn_blocking(move || coding::gzipped(parts.parts()));
            let coded = coding.await?.map(|coded| {
                let body = Slices::from(coded);
                let facts = Facts {
                    etag: EntityTag::of_slices(&body),
                    len_bytes: body.len_bytes(),
                    gzip: true,
                    ..self.facts.clone()
                };
                (facts, body)
            });
            Ok::<_, tokio::task::JoinError>(coded)
        });
        // Coding that breaks off is tried again by whoever asks next.
        coded.await.ok()?.as_ref().map(|(facts, body)| (facts, body))
    }

    /// Whether [`gzipped`](Self::gzipped) has to make anything.
    pub fn is_gzip_due(&self) -> bool {
        matches!(&self.coded, Coded::Once(made) if !made.initialized())
    }

    /// Memory held by the bytes in each coding.
    pub fn resident_bytes(&self) -> u64 {
        let coded = match &self.coded {
            Coded::Once(made) => made.get().and_then(Option::as_ref),
            Coded::Never => None,
        };
        self.body.resident_bytes() + coded.map_or(0, |(_, body)| body.resident_bytes())
    }
}

impl Facts {
    fn of_body(content_type: &'static str, body: &Slices) -> Self {
        Self {
            content_type: HeaderValue::from_static(content_type),
            etag: EntityTag::of_slices(body),
            len_bytes: body.len_bytes(),
            gzip: false,
            tags: Tags::default(),
        }
    }
}
