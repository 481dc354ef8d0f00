//! A folder with a store and a work folder, and the binary run in it.

use std::fs;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use bytes::Bytes;
use headwater_encoder::ffmpeg::Sandbox;
use headwater_packager::stored::{self, Pointer};
use headwater_packager::title::Title;
use serde_json::Value;

/// A place to encode in.
pub struct Lab {
    folder: tempfile::TempDir,
}

/// What a run of the binary said.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Lab {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// The binary, with store, work folder and a small ladder of this lab.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headwater-encoder"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HEADWATER_") {
                command.env_remove(name);
            }
        }
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("HEADWATER_STORE__URL", self.store())
            .env("HEADWATER_ENCODER__WORK_DIR", self.path("work"))
            .env("HEADWATER_ENCODER__THREADS", "1")
            .stdin(Stdio::null());
        if !has_namespaces() {
            command.env("HEADWATER_ENCODER__SANDBOX", "outer");
        }
        command
    }

    pub fn run(&self, args: &[&str]) -> Run {
        self.run_with(args, &[])
    }

    pub fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> Run {
        let output = self.command(args).envs(env.iter().copied()).output().unwrap();
        Run::from(output)
    }

    /// Encodes `input` and fails the test unless it is published.
    pub fn encode(&self, input: &Path, title: &str) -> Run {
        let run = self.run(&["encode", input.to_str().unwrap(), "--title", title]);
        assert_eq!(run.code, Some(0), "{run:?}");
        run
    }

    pub fn pointer(&self, title: &str) -> Option<Pointer> {
        let key = stored::pointer_key(&title.parse().unwrap());
        let json = fs::read(self.store().join(key)).ok()?;
        Some(Pointer::parse(&json).unwrap())
    }

    /// The heads of the live version.
    pub fn live(&self, title: &str) -> Title {
        let id = title.parse().unwrap();
        let version = self.pointer(title).unwrap().live.unwrap();
        let bytes = fs::read(self.store().join(stored::heads_key(&id, version))).unwrap();
        Title::open(&Bytes::from(bytes)).unwrap()
    }

    /// A file of the live version.
    pub fn live_file(&self, title: &str, name: &str) -> PathBuf {
        let version = self.pointer(title).unwrap().live.unwrap();
        let key = stored::object_key(&title.parse().unwrap(), version, name);
        self.store().join(key)
    }

    /// Every file below the store's titles, in order.
    pub fn stored(&self) -> Vec<String> {
        files_below(&self.store().join("titles"))
    }

    /// Every file of jobs that are not published yet.
    pub fn parts(&self) -> Vec<String> {
        files_below(&self.store().join("jobs"))
    }

    /// What is in the work folder besides its lock.
    pub fn work(&self) -> Vec<String> {
        let mut names = files_below(&self.path("work"));
        names.retain(|name| name != "lock");
        names
    }

    /// A title that was never published, with nothing left behind.
    pub fn assert_untouched(&self) {
        assert_eq!(self.stored(), Vec::<String>::new(), "nothing may be published");
        assert_eq!(self.work(), Vec::<String>::new(), "nothing may be left behind");
    }
}

/// Whether this machine lets the encoder shut ffmpeg in.
pub fn has_namespaces() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| Sandbox::new(headwater_config::Sandbox::Namespaces).is_ok())
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Run {
    /// The lines of `--json`.
    pub fn events(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The error's text.
    pub fn error(&self) -> &str {
        self.err.lines().find_map(|line| line.strip_prefix("error: ")).unwrap_or_default()
    }

    /// The notices.
    pub fn notices(&self) -> Vec<&str> {
        self.err.lines().filter_map(|line| line.strip_prefix("note: ")).collect()
    }
}

fn files_below(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                names.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    names.sort();
    names
}

/// Runs ffmpeg, which must be there and succeed. Two tests that make one film are found out: one of them may
/// be reading what the other is making.
pub fn ffmpeg(args: &[&str]) -> Vec<u8> {
    tool("ffmpeg", &[&["-nostdin", "-v", "error", "-n"], args].concat())
}

/// Runs ffprobe, which must be there and succeed.
pub fn ffprobe(args: &[&str]) -> String {
    String::from_utf8(tool("ffprobe", &[&["-v", "error"], args].concat())).unwrap()
}

fn tool(name: &str, args: &[&str]) -> Vec<u8> {
    let output = Command::new(name).args(args).stdin(Stdio::null()).output().unwrap_or_else(|e| {
        panic!("{name} cannot be run ({e}): these tests need it; apt-get install ffmpeg")
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {args:?}: {said}");
    output.stdout
}

/// Where the films lie that the tests of one file make, whatever those of another call theirs.
#[track_caller]
pub fn films() -> PathBuf {
    let tests = Path::new(Location::caller().file()).file_stem().unwrap();
    let folder = all_films().join(tests);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A folder for this process, which the next one removes.
fn all_films() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("films");
        fs::create_dir_all(&all).unwrap();
        for entry in fs::read_dir(&all).unwrap() {
            let process = entry.unwrap().file_name();
            if !Path::new("/proc").join(&process).exists() {
                let _ = fs::remove_dir_all(all.join(process));
            }
        }
        all.join(std::process::id().to_string())
    })
}

/// 5 s of 320x180 at 24 frames a second, with bar code and beeps: made once.
pub fn sample() -> &'static Path {
    static FILM: OnceLock<PathBuf> = OnceLock::new();
    FILM.get_or_init(|| {
        let film = films().join("sample.mp4");
        let lab = Lab::new();
        let shape = ["--seconds", "5", "--width", "320", "--height", "180"];
        let run = lab.run(&[&["sample", film.to_str().unwrap()], &shape[..]].concat());
        assert_eq!(run.code, Some(0), "{run:?}");
        film
    })
}

/// A film made from the sample with these output options.
#[track_caller]
pub fn from_sample(name: &str, options: &[&str]) -> PathBuf {
    let film = films().join(name);
    let args = [&["-i", sample().to_str().unwrap()], options, &[film.to_str().unwrap()]];
    ffmpeg(&args.concat());
    film
}
