//! Makes a case's source with ffmpeg from test films, each made once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use headwater_tests::{encoder, run};

use crate::cases::{Case, Make};

/// The source of a case, in `folder`.
pub fn make(case: &Case, folder: &Path) -> PathBuf {
    let out = folder.join(case.file);
    match case.make {
        Make::Ffmpeg(line) => {
            fs::write(folder.join("chapters.txt"), CHAPTERS).unwrap();
            ffmpeg(line, folder, &out);
        }
        Make::Bytes(bytes) => {
            let film = base("film", folder);
            let text = String::from_utf8_lossy(bytes).replace("FILM", film.to_str().unwrap());
            fs::write(&out, text).unwrap();
        }
        Make::Damaged(line, damage) => {
            ffmpeg(line, folder, &out);
            let mut bytes = fs::read(&out).unwrap();
            damage(&mut bytes);
            fs::write(&out, bytes).unwrap();
        }
    }
    out
}

/// `{film}` and its like stand for test films, `{out}` for the source, `{dir}` for a folder; `;`
/// parts commands.
fn ffmpeg(line: &str, folder: &Path, out: &Path) {
    for line in line.split(" ; ") {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-y"]);
        for word in line.split_whitespace() {
            let word = match word.strip_prefix('{').and_then(|w| w.split_once('}')) {
                Some(("out", "")) => out.to_str().unwrap().to_owned(),
                Some(("dir", rest)) => format!("{}{rest}", folder.display()),
                Some((name, "")) => base(name, folder).to_str().unwrap().to_owned(),
                _ => word.replace("{dir}", folder.to_str().unwrap()),
            };
            command.arg(word);
        }
        run::succeed(&mut command);
    }
}

/// A test film of 4 s and 320x180: `film` has 24 frames a second, `film25` 25, and so on; `wide` is
/// 640x96, `tall` 180x320, `ten` has 10 s.
fn base(name: &str, folder: &Path) -> PathBuf {
    let film = folder.join(format!("base-{name}.mp4"));
    if !film.exists() {
        let seconds = if name == "ten" { 10 } else { 4 };
        let (width, height, rate) = match name {
            "film" | "ten" => (320, 180, "24"),
            "wide" => (640, 96, "24"),
            "tall" => (180, 320, "24"),
            "ntsc" => (320, 180, "30000/1001"),
            "cinema" => (320, 180, "24000/1001"),
            "fast" => (320, 180, "60000/1001"),
            "half" => (320, 180, "12.5"),
            "film15" => (320, 180, "15"),
            "film25" => (320, 180, "25"),
            "film30" => (320, 180, "30"),
            "film50" => (320, 180, "50"),
            "film60" => (320, 180, "60"),
            "film100" => (320, 180, "100"),
            "film120" => (320, 180, "120"),
            other => panic!("there is no film {other}"),
        };
        encoder::sample(&encoder::Sample { rate, width, height, seconds }, &film);
    }
    film
}

const CHAPTERS: &str = ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=2000\ntitle=One\n\
                        [CHAPTER]\nTIMEBASE=1/1000\nSTART=2000\nEND=4000\ntitle=Two\n";
