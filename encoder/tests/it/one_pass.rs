//! A film in one pass of one ffmpeg, from start to end: what cutting into chunks is held against.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use headwater_config::{Encoder, Preset, Sandbox};
use headwater_encoder::cancel;
use headwater_encoder::ffmpeg::{Tools, command};
use headwater_encoder::look;
use headwater_encoder::plan::RAW;

/// ffmpeg's files of every rendition, in a folder.
pub struct OnePass {
    folder: PathBuf,
}

impl OnePass {
    /// Makes them of `film` in `folder`, which becomes theirs.
    pub fn of(film: &Path, folder: PathBuf, preset: Preset) -> Self {
        let mut config = Encoder { preset, threads: 1, ..Encoder::default() };
        if !crate::lab::has_namespaces() {
            config.sandbox = Sandbox::Outer;
        }
        fs::create_dir_all(folder.join(RAW)).unwrap();
        let tools = Tools::new(&config).unwrap();
        let (_canceller, cancel) = cancel::pair();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let looked = runtime.block_on(look::look(film, &[], &tools, &config, &cancel)).unwrap();
        let args = command::encode(&looked.plan, &folder, tools.threads);
        let quiet = Command::new("ffmpeg").args(args).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&quiet.stderr);
        assert!(quiet.status.success(), "{}: {said}", film.display());
        Self { folder }
    }

    /// The file of a rendition.
    pub fn track(&self, name: &str) -> PathBuf {
        self.folder.join(RAW).join(format!("{name}.raw.mp4"))
    }
}
