//! `facts.json`: what the source was, what was done to it and with what tools. For people and for
//! later releases; nothing is served from it.

use std::ffi::OsString;
use std::path::Path;

use bytes::Bytes;
use headwater_packager::ids::{TitleId, VersionId};
use serde_json::json;

use crate::error::{Error, Kind};
use crate::ffmpeg::Log;
use crate::plan::Plan;
use crate::probe::Probe;
use crate::text::Text;

/// The name of the object.
pub const NAME: &str = "facts.json";
/// Bytes of it. What ffprobe says of a source is most of it, and bounded before; written out for
/// people it grows.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;

/// What goes into it.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The title.
    pub title: &'a TitleId,
    /// The version.
    pub version: VersionId,
    /// What ffprobe said of the source.
    pub probe: &'a Probe,
    /// What was planned.
    pub plan: &'a Plan,
    /// First line of `ffmpeg -version`.
    pub ffmpeg: &'a str,
    /// ffmpeg's arguments.
    pub args: &'a [OsString],
    /// Where ffmpeg wrote; of no interest later.
    pub folder: &'a Path,
    /// What ffmpeg said.
    pub log: &'a Log,
    /// What the uploader was told.
    pub notices: &'a [String],
    /// Its texts.
    pub texts: &'a [Text],
}

impl Facts<'_> {
    /// The object's bytes. An error for a source of which too much is to be said.
    pub fn to_json(&self) -> Result<Bytes, Error> {
        let Plan { grid, copied, rungs, sounds, passed, source, recipe, .. } = self.plan;
        let copied = copied.iter().map(|rung| {
            json!({
                "track": rung.track, "width": rung.width, "height": rung.height,
                "max_kbps": rung.max_kbps, "codec": rung.codec, "copied": source.video.index,
            })
        });
        let encoded = rungs.iter().map(|rung| {
            json!({
                "track": rung.track, "width": rung.width, "height": rung.height,
                "max_kbps": rung.max_kbps, "crf": rung.crf, "codec": rung.codec,
            })
        });
        let rungs: Vec<_> = copied.chain(encoded).collect();
        let sounds: Vec<_> = sounds
            .iter()
            .map(|sound| {
                json!({
                    "track": sound.track, "stream": sound.stream, "codec": sound.codec,
                    "channels": sound.channels, "kbps": sound.kbps, "frames": sound.grid.frames(),
                    "language": sound.language.as_ref().map(|l| &l.tag),
                    "role": sound.role.as_str(),
                })
            })
            .collect();
        let passed: Vec<_> = passed
            .iter()
            .map(|passed| json!({"track": passed.sound.track, "stream": passed.stream}))
            .collect();
        let facts = json!({
            "format": 1,
            "title": self.title,
            "version": self.version,
            "source": {
                "name": self.plan.input.file_name().map(|name| name.to_string_lossy()),
                "probe": self.probe,
                "frames": source.video.frames,
                "peak_kbps": source.video.peak_kbps,
                "shown": format!("{}x{}", source.video.width, source.video.height),
                "light": source.video.light.as_str(),
            },
            "recipe": {
                "name": recipe.name,
                "rate": grid.rate().to_string(),
                "frames": grid.frames(),
                "gop_frames": grid.gop_frames(),
                "preset": self.plan.preset.as_str(),
                "rungs": rungs,
                "sounds": sounds,
                "passed": passed,
                "texts": self.texts,
            },
            "tools": {
                "encoder": concat!("headwater-encoder ", env!("CARGO_PKG_VERSION")),
                "ffmpeg": self.ffmpeg,
                "options": self.options(),
            },
            "notices": self.notices,
            "ffmpeg_said": Vec::from_iter(self.log.lines()),
        });
        let json = serde_json::to_vec_pretty(&facts).expect("facts are plain data");
        if json.len() > MAX_BYTES {
            let (len, limit) = (json.len(), MAX_BYTES);
            let text = format!(
                "{}: what is to be kept of its headers fills {len} bytes, at most {limit}; \
                 remux it with the streams and tags that matter",
                self.plan.input.display()
            );
            return Err(Error::new(Kind::Refused, text));
        }
        Ok(json.into())
    }

    /// ffmpeg's arguments without this machine's paths.
    fn options(&self) -> Vec<String> {
        let input = self.plan.input.to_string_lossy().into_owned();
        let folder = format!("{}/", self.folder.display());
        let plain =
            |arg: &OsString| arg.to_string_lossy().replace(&input, "INPUT").replace(&folder, "");
        self.args.iter().map(plain).collect()
    }
}
