//! Runs the encoder.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use crate::{binaries, run};

/// A generated source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Frames per second, as the encoder takes them: `24`, `30000/1001`.
    pub rate: &'static str,
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// Whole seconds.
    pub seconds: u32,
}

/// A rendition that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// Pixels.
    pub height: u32,
    /// Cap in kbit/s.
    pub max_bitrate_kbps: u32,
}

/// Makes a source that carries its frame numbers and a beep a second.
pub fn sample(sample: &Sample, to: &Path) {
    let mut command = command(&["sample"]);
    command.args(["--rate", sample.rate]);
    for (option, value) in
        [("--seconds", sample.seconds), ("--width", sample.width), ("--height", sample.height)]
    {
        command.arg(option).arg(value.to_string());
    }
    run::succeed(command.arg(to));
}

/// Encodes a source into a store.
pub fn encode(input: &Path, title: &str, store: &Path, ladder: &[Rung]) {
    let output = try_encode(input, title, store, ladder);
    assert!(
        output.status.success(),
        "encoding {}: {}\n{}",
        input.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The same, whatever comes of it.
pub fn try_encode(input: &Path, title: &str, store: &Path, ladder: &[Rung]) -> Output {
    let folder = crate::scratch::folder();
    let config = folder.path().join("headwater.toml");
    fs::write(&config, toml(ladder, &folder.path().join("work"))).unwrap();
    let mut command = command(&["encode", "--title", title, "--config"]);
    command.arg(&config).arg("--store").arg(format!("file://{}", store.display())).arg(input);
    run::finish(&mut command)
}

/// The encoder with these arguments.
pub fn command(args: &[&str]) -> Command {
    let mut command = run::command(binaries::encoder());
    command.args(args);
    if !has_namespaces() {
        command.env("HEADWATER_ENCODER__SANDBOX", "outer");
    }
    command
}

/// Whether this machine lets the encoder shut ffmpeg in.
fn has_namespaces() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| {
        let tried = |options: &[&str]| {
            let args = options.iter().copied().chain(["--net", "--ipc", "true"]);
            let tried = Command::new("unshare").args(args).stderr(Stdio::null()).status();
            tried.is_ok_and(|status| status.success())
        };
        tried(&["--map-root-user"]) || tried(&[])
    })
}

/// An empty ladder is the default one.
fn toml(ladder: &[Rung], work: &Path) -> String {
    let mut text = format!("[encoder]\nwork_dir = \"{}\"\n", work.display());
    if !ladder.is_empty() {
        text.push_str("preset = \"ultrafast\"\n");
    }
    for Rung { height, max_bitrate_kbps } in ladder {
        text.push_str(&format!(
            "[[encoder.ladder]]\nheight = {height}\nmax_bitrate_kbps = {max_bitrate_kbps}\ncrf = 23\n"
        ));
    }
    text
}
