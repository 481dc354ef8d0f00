//! What is encoded: films of seconds, made once.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use headwater_tests::encoder::{self, Sample};
use headwater_tests::{run, scratch, skip};

/// Three that differ in length and container.
pub fn tiny() -> &'static [PathBuf; 3] {
    static FILMS: OnceLock<[PathBuf; 3]> = OnceLock::new();
    FILMS.get_or_init(|| {
        let film = folder().join("film.mp4");
        encoder::sample(&Sample { rate: "24", width: 320, height: 180, seconds: 5 }, &film);
        let short = ["-t", "2.5", "-preset", "veryfast"];
        [film.clone(), made(&film, "film.mkv", &["-c", "copy"]), made(&film, "short.mp4", &short)]
    })
}

/// Three whose best rendition fills several parts of an upload: of real footage, where it is there.
pub fn real() -> Vec<PathBuf> {
    let noise = folder().join("noise.mp4");
    let pictures = "color=gray:s=512x288:r=25:d=8,noise=alls=100:allf=t";
    let mut ffmpeg = run::command("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", pictures]);
    ffmpeg.args(["-f", "lavfi", "-i", "sine=d=8", "-pix_fmt", "yuv420p", "-c:v", "libx264"]);
    run::succeed(ffmpeg.args(["-preset", "ultrafast", "-crf", "18", "-c:a", "aac"]).arg(&noise));
    let Some(footage) = skip::shared("media/bbb-1080p.mp4") else {
        let parts = [["-t", "8"], ["-t", "6"], ["-t", "3"]];
        return parts
            .iter()
            .map(|part| made(&noise, &format!("noise-{}.mp4", part[1]), part))
            .collect();
    };
    // It has a key frame at 15.8 s.
    let parts = [("start.mp4", ["-t", "10"]), ("later.mkv", ["-ss", "15.8"])];
    let mut films = parts.map(|(name, part)| {
        let part = [&part[..], &["-t", "10", "-c", "copy"]].concat();
        made(&footage, name, &part)
    });
    films.sort();
    films.into_iter().chain([noise]).collect()
}

/// A film made from another one with these options.
fn made(film: &Path, name: &str, options: &[&str]) -> PathBuf {
    let path = folder().join(name);
    let mut ffmpeg = run::command("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-y", "-i"]).arg(film).args(options);
    run::succeed(ffmpeg.arg(&path));
    path
}

fn folder() -> PathBuf {
    scratch::lasting("chaos-films")
}
