//! What everything that runs in a folder takes of the machine, by /proc: also of those that are killed
//! and whose parents are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it looks: what a process takes after the last look is missed.
const EVERY: Duration = Duration::from_millis(100);

/// A running meter.
pub struct Meter {
    over: Arc<AtomicBool>,
    taken: Arc<Mutex<Taken>>,
    thread: Option<JoinHandle<()>>,
}

/// What was seen so far.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// By process and when it began, in ticks of 10 ms.
    cpu_ticks: BTreeMap<(u32, u64), u64>,
    /// The most that all of them held at once.
    pub resident_bytes: u64,
    /// The most that one of the encoder's own processes held.
    pub encoder_bytes: u64,
    /// The most that lay in the work folders.
    pub work_bytes: u64,
}

impl Taken {
    pub fn cpu_s(&self) -> f64 {
        let ticks: u64 = self.cpu_ticks.values().sum();
        f64::from(u32::try_from(ticks).unwrap()) / 100.0
    }
}

impl Meter {
    /// Of processes whose command line names something in `folder`, and of its folders `work*`.
    pub fn start(folder: PathBuf) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let taken = Arc::<Mutex<Taken>>::default();
        let (is_over, seen) = (Arc::clone(&over), Arc::clone(&taken));
        let thread = std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                look(&folder, &mut seen.lock().unwrap());
                std::thread::sleep(EVERY);
            }
        });
        Self { over, taken, thread: Some(thread) }
    }

    pub fn taken(&self) -> Taken {
        self.taken.lock().unwrap().clone()
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn look(folder: &Path, taken: &mut Taken) {
    let name = folder.to_str().unwrap();
    let mut resident_bytes = 0;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|id| id.parse().ok()) else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        if !line.contains(name) {
            continue;
        }
        let Some(stat) = fs::read_to_string(entry.path().join("stat")).ok() else { continue };
        let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
        // proc(5): the first behind the name is field 3.
        let fields: Vec<u64> = fields.split(' ').map(|field| field.parse().unwrap_or(0)).collect();
        let field = |at: usize| fields[at - 3];
        let ticks = taken.cpu_ticks.entry((id, field(22))).or_default();
        *ticks = (*ticks).max(field(14) + field(15));
        let resident = field(24) * 4096;
        resident_bytes += resident;
        // Its children have other words.
        if line.contains("\0--config\0") {
            taken.encoder_bytes = taken.encoder_bytes.max(resident);
        }
    }
    taken.resident_bytes = taken.resident_bytes.max(resident_bytes);
    let folders = fs::read_dir(folder).into_iter().flatten().flatten();
    let works = folders.filter(|entry| entry.file_name().to_string_lossy().starts_with("work"));
    taken.work_bytes = taken.work_bytes.max(works.map(|work| bytes_below(&work.path())).sum());
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_below(&entry.path()),
        Ok(data) => data.len(),
        // It went away.
        Err(_) => 0,
    });
    bytes.sum()
}
