//! HLS as served, read by m3u8-rs; and the few things it keeps no exact account of.

use m3u8_rs::{AlternativeMedia, MasterPlaylist, MediaPlaylist, VariantStream};

use crate::web::{Web, follow};

/// A multivariant playlist.
#[derive(Debug)]
pub struct Master {
    /// Its path.
    pub path: String,
    /// As it stands.
    pub text: String,
    /// As m3u8-rs reads it.
    pub playlist: MasterPlaylist,
}

/// A media playlist or I-frame playlist.
#[derive(Debug)]
pub struct Media {
    /// Its path.
    pub path: String,
    /// As it stands.
    pub text: String,
    /// As m3u8-rs reads it.
    pub playlist: MediaPlaylist,
}

impl Master {
    /// Fetches and reads one.
    pub fn fetch(web: &Web, path: &str) -> Self {
        let text = web.text(path);
        let playlist = m3u8_rs::parse_master_playlist_res(text.as_bytes())
            .unwrap_or_else(|e| panic!("{path}: {e}\n{text}"));
        Self { path: path.to_owned(), text, playlist }
    }

    /// Variants that play, without the I-frame ones.
    pub fn variants(&self) -> impl Iterator<Item = &VariantStream> {
        self.playlist.variants.iter().filter(|v| !v.is_i_frame)
    }

    /// I-frame variants.
    pub fn iframe_variants(&self) -> impl Iterator<Item = &VariantStream> {
        self.playlist.variants.iter().filter(|v| v.is_i_frame)
    }

    /// Members of a group.
    pub fn group<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a AlternativeMedia> {
        self.playlist.alternatives.iter().filter(move |media| media.group_id == id)
    }

    /// The media playlist that a variant or a rendition names.
    pub fn media(&self, web: &Web, uri: &str) -> Media {
        Media::fetch(web, &follow(&self.path, uri))
    }

    /// Every media playlist of it, I-frame playlists not included.
    pub fn all_media(&self, web: &Web) -> Vec<Media> {
        let variants = self.variants().map(|v| v.uri.as_str());
        let renditions = self.playlist.alternatives.iter().filter_map(|m| m.uri.as_deref());
        let mut uris: Vec<_> = variants.chain(renditions).collect();
        uris.sort_unstable();
        uris.dedup();
        uris.into_iter().map(|uri| self.media(web, uri)).collect()
    }

    /// Every I-frame playlist of it.
    pub fn all_iframes(&self, web: &Web) -> Vec<Media> {
        self.iframe_variants().map(|v| self.media(web, &v.uri)).collect()
    }
}

impl Media {
    /// Fetches and reads one.
    pub fn fetch(web: &Web, path: &str) -> Self {
        let text = web.text(path);
        let playlist = m3u8_rs::parse_media_playlist_res(text.as_bytes())
            .unwrap_or_else(|e| panic!("{path}: {e}\n{text}"));
        Self { path: path.to_owned(), text, playlist }
    }

    /// The track's id: the folder it lies in.
    pub fn track(&self) -> &str {
        self.path.rsplit('/').nth(1).expect("a playlist lies in its track's folder")
    }

    /// Path of the init section.
    pub fn init_path(&self) -> String {
        let map = self.playlist.segments.first().and_then(|s| s.map.as_ref());
        follow(&self.path, &map.expect("fMP4 has a map").uri)
    }

    /// Paths of the segments, in order.
    pub fn segment_paths(&self) -> Vec<String> {
        self.playlist.segments.iter().map(|s| follow(&self.path, &s.uri)).collect()
    }

    /// Each EXTINF as it is written; m3u8-rs keeps it as a 32-bit float.
    pub fn extinfs(&self) -> Vec<&str> {
        self.text.lines().filter_map(|l| l.strip_prefix("#EXTINF:")?.split(',').next()).collect()
    }

    /// Each EXTINF in microseconds.
    pub fn extinfs_us(&self) -> Vec<u64> {
        self.extinfs().into_iter().map(micros).collect()
    }

    /// Whether a tag stands in it.
    pub fn has(&self, tag: &str) -> bool {
        self.text.lines().any(|line| line.split(':').next() == Some(tag))
    }
}

/// Decimal seconds in microseconds, without a float; at most six decimals.
pub fn micros(seconds: &str) -> u64 {
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    assert!(fraction.len() <= 6, "{seconds}");
    let fraction = format!("{fraction:0<6}");
    whole.parse::<u64>().unwrap() * 1_000_000 + fraction.parse::<u64>().unwrap()
}
