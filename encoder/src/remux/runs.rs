//! A sound track run by run, while ffmpeg still writes its file: what is closed is cut off, checked like
//! the whole, and can be stored. One run after the other is the track of [`super::sound()`], byte for byte.

use std::path::{Path, PathBuf};

use headwater_packager::codec::Audio;
use headwater_packager::heads::ObjectHead;
use headwater_packager::ids::TrackId;

use super::raw::Raw;
use super::sound::{Dealer, Sound};
use super::track::{Before, TrackWriter};
use super::{Made, unlike_plan};
use crate::audio::Frames;
use crate::cancel::Cancel;
use crate::error::Error;
use crate::plan::raw_name;

/// What ffmpeg writes of a sound: its header is there.
pub struct Written {
    raw: Raw,
}

impl Written {
    /// The file for `track` in `folder`; `None` while it does not have a header and `is_over` does not
    /// say that it should.
    pub fn open(folder: &Path, track: &TrackId, is_over: bool) -> Result<Option<Self>, Error> {
        let path = folder.join(raw_name(track));
        let raw = match is_over {
            true => Raw::open_shifted(&path).map(Some),
            false => Raw::open_growing(&path),
        };
        let raw = raw.map_err(|what| unlike_plan(track, what))?;
        Ok(raw.map(|raw| Self { raw }))
    }

    /// By how much its encoder is late, where an edit list says it.
    pub fn delay_ticks(&self) -> u64 {
        self.raw.header.edit_media_time.unwrap_or(0).unsigned_abs()
    }
}

/// A track that is made run by run.
pub struct Runs {
    dealer: Dealer,
    folder: PathBuf,
    stem: String,
    ends: Vec<u32>,
    made: usize,
    before: Before,
    writer: Option<TrackWriter>,
}

impl Runs {
    /// Runs that end before the fragments `ends`, as files `stem.<run>.mp4` in `folder`; `expects` judges
    /// the sample entry.
    pub fn new(
        written: Written,
        sound: Sound<'_>,
        (folder, stem, ends): (&Path, String, Vec<u32>),
        expects: impl FnOnce(&Audio) -> Result<(), String>,
    ) -> Result<Self, Error> {
        let dealer = Dealer::new(written.raw, sound, expects)?;
        let folder = folder.to_owned();
        let before = Before::default();
        Ok(Self { dealer, folder, stem, ends, made: 0, before, writer: None })
    }

    /// The next run, with what it is cut off before; `None` while it is not closed, or when it was the
    /// last. That one is closed when ffmpeg `is_over`: until then nobody knows that nothing follows.
    pub fn next(&mut self, is_over: bool, cancel: &Cancel) -> Result<Option<(Made, u32)>, Error> {
        let Some(&end) = self.ends.get(self.made) else { return Ok(None) };
        let looked = self.dealer.raw.look(is_over);
        looked.map_err(|what| self.dealer.unlike(what))?;
        let name = format!("{}.{}.mp4", self.stem, self.made);
        let path = self.folder.join(&name);
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                let Frames { timescale, hidden_ticks, .. } = self.dealer.grid.counts();
                let init = self.dealer.init.clone();
                TrackWriter::run(&path, init, timescale, self.before, hidden_ticks)?
            }
        };
        while self.dealer.dealt < end {
            cancel.check()?;
            if !self.dealer.fragment(&mut writer)? {
                self.writer = Some(writer);
                return if is_over { Err(self.dealer.too_few()) } else { Ok(None) };
            }
        }
        if self.made + 1 == self.ends.len() {
            if !is_over {
                self.writer = Some(writer);
                return Ok(None);
            }
            self.dealer.end()?;
        }
        let file;
        (file, self.before) = writer.end()?;
        self.made += 1;
        let object: ObjectHead = file.object(name);
        let head = self.dealer.head(object);
        Ok(Some((Made { head, init: file.init, rows: file.rows, path }, end)))
    }

    /// Whether all of them were made.
    pub fn is_done(&self) -> bool {
        self.made == self.ends.len()
    }
}
