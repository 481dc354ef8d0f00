//! A unit file, as far as it matters here.

use std::path::PathBuf;

/// All of them.
pub const UNITS: [&str; 4] = [
    "headwater-origin.service",
    "headwater-encoder.service",
    "headwater-encoder@.service",
    "headwater-worker.service",
];

pub struct Unit {
    pub name: String,
    pub text: String,
}

impl Unit {
    pub fn read(name: &str) -> Self {
        let text = std::fs::read_to_string(folder().join("systemd").join(name)).unwrap();
        Self { name: name.to_owned(), text }
    }

    /// The words of every line of this setting.
    pub fn words(&self, setting: &str) -> Vec<&str> {
        let values = self.text.lines().filter_map(|line| line.strip_prefix(setting));
        values.filter_map(|rest| rest.strip_prefix('=')).flat_map(str::split_whitespace).collect()
    }

    /// A time in seconds.
    pub fn seconds(&self, setting: &str) -> u64 {
        let words = self.words(setting);
        words[0].strip_suffix('s').expect("in seconds").parse().unwrap()
    }

    /// The folders that it may write.
    pub fn writable(&self) -> Vec<String> {
        let mut folders: Vec<String> =
            self.words("ReadWritePaths").into_iter().map(str::to_owned).collect();
        folders.extend(self.words("StateDirectory").iter().map(|name| format!("/var/lib/{name}")));
        folders.extend(self.words("LogsDirectory").iter().map(|name| format!("/var/log/{name}")));
        folders
    }
}

/// `deploy/`.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}
