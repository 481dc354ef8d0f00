//! Small titles, each generated and encoded once for all tests of a process.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use headwater_packager::ids::{TitleId, VersionId};
use headwater_packager::stored::{self, Pointer};

use crate::encoder::{self, Rung, Sample};
use crate::scratch;

/// An encoded title in a store of its own. The store is read by many tests: whoever wants to
/// damage it takes a [`Title::copy`].
#[derive(Clone, Debug)]
pub struct Title {
    /// What it was made from.
    pub source: PathBuf,
    /// Frames per second as a fraction.
    pub rate: (u32, u32),
    /// The store's folder.
    pub store: PathBuf,
    /// Its id.
    pub id: TitleId,
    /// Its live version.
    pub version: VersionId,
    /// Its heads, opened by the packager.
    pub heads: headwater_packager::title::Title,
}

/// The three renditions of every generated title.
pub const LADDER: [Rung; 3] = [
    Rung { height: 288, max_bitrate_kbps: 600 },
    Rung { height: 216, max_bitrate_kbps: 300 },
    Rung { height: 144, max_bitrate_kbps: 150 },
];

/// Frame rates that are generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// 24
    Film,
    /// 25
    Pal,
    /// 30000/1001, and longer than the others: four segments, the last one short.
    Ntsc,
    /// 60, and its sound outlasts its picture, by 10 2/3 ms.
    Sixty,
}

impl Rate {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Film, Self::Pal, Self::Ntsc, Self::Sixty];

    /// The title at this rate, encoded by whichever test asks first.
    pub fn title(self) -> &'static Title {
        static TITLES: [OnceLock<Title>; 4] = [const { OnceLock::new() }; 4];
        let index = Self::ALL.iter().position(|&rate| rate == self).expect("all are listed");
        TITLES[index].get_or_init(|| self.make())
    }

    fn make(self) -> Title {
        let (name, text, rate, seconds) = match self {
            Self::Film => ("film", "24", (24, 1), 13),
            Self::Pal => ("pal", "25", (25, 1), 7),
            Self::Ntsc => ("ntsc", "30000/1001", (30_000, 1001), 21),
            Self::Sixty => ("sixty", "60", (60, 1), 4),
        };
        let folder = scratch::lasting(name);
        let source = folder.join("source.mp4");
        encoder::sample(&Sample { rate: text, width: 512, height: 288, seconds }, &source);
        let store = folder.join("store");
        fs::create_dir_all(&store).unwrap();
        encoder::encode(&source, name, &store, &LADDER);
        Title::open(source, rate, store, name)
    }
}

/// Six seconds of noise in large fragments: what takes long to send.
pub fn noise() -> &'static Title {
    static TITLE: OnceLock<Title> = OnceLock::new();
    TITLE.get_or_init(|| {
        let folder = scratch::lasting("noise");
        let (source, store) = (folder.join("source.mp4"), folder.join("store"));
        fs::create_dir_all(&store).unwrap();
        let noise = "color=gray:s=512x288:r=25:d=6,noise=alls=100:allf=t";
        let mut ffmpeg = crate::run::command("ffmpeg");
        ffmpeg.args(["-v", "error", "-f", "lavfi", "-i", noise]);
        ffmpeg.args(["-f", "lavfi", "-i", "sine=frequency=440:duration=6", "-shortest"]);
        ffmpeg.args(["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast"]);
        crate::run::succeed(ffmpeg.args(["-crf", "10", "-c:a", "aac"]).arg(&source));
        let ladder = [Rung { height: 288, max_bitrate_kbps: 200_000 }];
        encoder::encode(&source, "noise", &store, &ladder);
        Title::open(source, (25, 1), store, "noise")
    })
}

impl Title {
    /// The live version of a title in a store.
    pub fn open(source: PathBuf, rate: (u32, u32), store: PathBuf, id: &str) -> Self {
        let id: TitleId = id.parse().unwrap();
        let pointer = fs::read(store.join(stored::pointer_key(&id))).expect("a published title");
        let version = Pointer::parse(&pointer).unwrap().live.expect("a live version");
        let heads = fs::read(store.join(stored::heads_key(&id, version))).expect("its heads");
        let heads = headwater_packager::title::Title::open(&heads.into()).unwrap();
        Self { source, rate, store, id, version, heads }
    }

    /// Frames of the source: read from it, not from what was made of it.
    pub fn frames(&self) -> usize {
        crate::ffmpeg::packets(crate::ffmpeg::path(&self.source), "v:0").packets.len()
    }

    /// How much later than the file says ffmpeg shows a video track, in ticks: its largest negative
    /// composition offset (see [`crate::ffmpeg::Packets`]).
    pub fn ffmpeg_shift_ticks(&self, track: &str) -> i64 {
        let (_, _, fragments) =
            crate::fragments::read_track(&fs::read(self.track_file(track)).unwrap());
        let samples = fragments.iter().flat_map(|fragment| &fragment.samples);
        let early = samples.map(|s| i64::try_from(s.decode_ticks).unwrap() - s.present_ticks);
        early.max().unwrap_or(0).max(0)
    }

    /// Path of the multivariant playlist.
    pub fn master(&self) -> String {
        format!("/clear/{}/master.m3u8", self.id)
    }

    /// Path of the MPD.
    pub fn mpd(&self) -> String {
        format!("/clear/{}/manifest.mpd", self.id)
    }

    /// A file of the live version.
    pub fn file(&self, name: &str) -> PathBuf {
        self.store.join(stored::object_key(&self.id, self.version, name))
    }

    /// The file that holds a track.
    pub fn track_file(&self, track: &str) -> PathBuf {
        let track = self.heads.track(&track.parse().unwrap()).expect("a track of this title");
        let [object] = track.objects() else { panic!("a finished track is one object") };
        self.file(&object.name)
    }

    /// Ids of the video tracks, then of the others.
    pub fn tracks(&self) -> (Vec<String>, Vec<String>) {
        let (videos, others): (Vec<_>, Vec<_>) =
            self.heads.tracks().iter().partition(|track| track.is_video());
        let ids = |tracks: Vec<&headwater_packager::title::Track>| {
            tracks.into_iter().map(|track| track.id().to_string()).collect()
        };
        (ids(videos), ids(others))
    }

    /// The same title in another store folder, free to be changed.
    pub fn copy(&self, store: &Path) -> Self {
        copy_folder(&self.store, store);
        Self { store: store.to_owned(), ..self.clone() }
    }
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
