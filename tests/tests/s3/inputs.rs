//! Sources that lie in a bucket: what is made of them, and how much of them is read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use headwater_tests::encoder::{self, Sample};
use headwater_tests::measured;
use headwater_tests::s3::{self, BUCKET, PREFIX, Server, outcome};
use headwater_tests::s3_proxy::{Asked, Kind, Proxy};
use headwater_tests::{run, scratch};
use serde_json::Value;

const LADDER: &str = "[[encoder.ladder]]\nheight = 144\nmax_bitrate_kbps = 300\ncrf = 30\n";
/// So long that a busy machine's server, which sums up the whole object for each range, is not asked twice.
const SETTINGS: &str = "attempt_timeout_ms = 60000\noperation_timeout_ms = 60000\nmax_attempts = 1\n\
     stall_timeout_ms = 60000";

/// A bucket with sources and titles, and machines that work over it.
struct Site {
    server: Server,
    folder: tempfile::TempDir,
}

/// A machine: a work folder, and its own way to the bucket, which is counted.
struct Machine {
    name: &'static str,
    proxy: Proxy,
}

impl Machine {
    fn new(site: &Site, name: &'static str) -> Self {
        Self { name, proxy: Proxy::start(site.server.address()) }
    }

    /// Bytes of a source that it asked for since the last call.
    fn read_bytes(&self, key: &str) -> u64 {
        let path = format!("/{BUCKET}/{key}");
        let of_it = |asked: &Asked| asked.target.split('?').next() == Some(&path);
        let taken = self.proxy.taken();
        taken.iter().filter(|asked| of_it(asked)).map(bytes).sum()
    }
}

/// Bytes that a request asks for.
fn bytes(asked: &Asked) -> u64 {
    assert_eq!(asked.kind, Kind::Range, "{asked:?}");
    let (first, last) = asked.range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    last.parse::<u64>().unwrap() + 1 - first.parse::<u64>().unwrap()
}

impl Site {
    fn new() -> Self {
        let (server, folder) = (Server::start(), scratch::folder());
        // A work folder's sources are read by another user where the encoder is root.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(folder.path(), open).unwrap();
        Self { server, folder }
    }

    /// Puts an object there.
    fn put(&self, key: &str, from: &Path) {
        let bucket = self.server.folder();
        let bucket = bucket.ancestors().nth(PREFIX.split('/').count()).unwrap();
        let to = bucket.join(key);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }

    fn command(&self, machine: &Machine, args: &[&str]) -> Command {
        let own = self.folder.path().join(machine.name);
        fs::create_dir_all(&own).unwrap();
        let store = s3::settings(machine.proxy.address(), SETTINGS);
        let mut command = s3::encoder(&own, args, &store, LADDER);
        command.env("HEADWATER_ENCODER__QUEUE__SQLITE", self.folder.path().join("queue.sqlite"));
        for (name, value) in [
            ("LEASE_S", "10"),
            ("BEAT_S", "2"),
            ("RETRY_S", "1"),
            ("POLL_MS", "50"),
            ("PARALLEL", "1"),
            ("MIN_DISK_MIB", "0"),
            ("MIN_MEMORY_MIB", "0"),
        ] {
            command.env(format!("HEADWATER_ENCODER__QUEUE__{name}"), value);
        }
        command
    }

    fn run(&self, machine: &Machine, args: &[&str]) -> String {
        let (code, said) = outcome(&mut self.command(machine, args));
        assert_eq!(code, Some(0), "{args:?}: {said}");
        said
    }

    /// Puts a job in, and gives its id.
    fn submit(&self, machine: &Machine, input: &str, title: &str) -> String {
        let said = self.run(machine, &["submit", input, "--title", title, "--json"]);
        let job: Value = serde_json::from_str(said.trim()).unwrap();
        job["id"].as_str().unwrap().to_owned()
    }

    fn job(&self, machine: &Machine, id: &str) -> Value {
        serde_json::from_str(self.run(machine, &["jobs", id, "--json"]).trim()).unwrap()
    }

    /// Works until nothing is left, and gives what it says of its tasks.
    fn drained(&self, machine: &Machine) -> Vec<Value> {
        let said = self.run(machine, &["worker", "--drain", "--json"]);
        said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Works until the job is planned, and is killed.
    fn planned_and_killed(&self, machine: &Machine, id: &str) {
        let mut worker = self.command(machine, &["worker", "--json"]);
        let mut worker = worker.stdout(std::process::Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        while self.job(machine, id)["frames"] == 0 {
            assert!(started.elapsed() < Duration::from_secs(120), "{:#}", self.job(machine, id));
            std::thread::sleep(Duration::from_millis(20));
        }
        worker.kill().unwrap();
        worker.wait().unwrap();
    }

    /// The objects of a title's live version, by their names.
    fn tracks(&self, title: &str) -> Vec<(String, Vec<u8>)> {
        let keys = self.server.keys();
        let of_it = keys.iter().filter(|key| key.starts_with(&format!("titles/{title}/")));
        let media = of_it.filter(|key| key.ends_with(".mp4"));
        let name = |key: &String| key.rsplit('/').next().unwrap().to_owned();
        let read = |key: &String| fs::read(self.server.folder().join(key)).unwrap();
        media.map(|key| (name(key), read(key))).collect()
    }

    /// What lies in a machine's work folder but its lock.
    fn work(&self, machine: &Machine) -> Vec<PathBuf> {
        let work = self.folder.path().join(machine.name).join("work");
        let names = fs::read_dir(work).into_iter().flatten().map(|entry| entry.unwrap().path());
        names.filter(|path| !path.ends_with("lock")).collect()
    }
}

/// A film in another container, its streams as they are.
fn remuxed(film: &Path, folder: &Path, name: &str) -> PathBuf {
    let to = folder.join(name);
    let mut ffmpeg = run::command("ffmpeg");
    ffmpeg.args(["-v", "error", "-i"]).arg(film).args(["-map", "0", "-c", "copy"]);
    run::succeed(ffmpeg.arg(&to));
    to
}

#[test]
fn what_is_made_of_an_object_is_what_is_made_of_the_file() {
    let site = Site::new();
    let machine = Machine::new(&site, "one");
    let film = site.folder.path().join("film.mp4");
    encoder::sample(&Sample { rate: "25", width: 512, height: 288, seconds: 5 }, &film);
    for name in ["moov-last.mp4", "film.mkv", "film.ts"] {
        let file = remuxed(&film, site.folder.path(), name);
        let (key, len) = (format!("in/{name}"), fs::metadata(&file).unwrap().len());
        site.put(&key, &file);
        let title = name.replace('.', "-");
        site.submit(&machine, file.to_str().unwrap(), &format!("{title}-file"));
        let id = site.submit(&machine, &format!("s3://{BUCKET}/{key}"), &format!("{title}-object"));
        machine.proxy.taken();
        let said = site.drained(&machine);
        let job = site.job(&machine, &id);
        assert_eq!(job["state"], "published", "{job:#} {said:?}");
        let (wanted, got) =
            (site.tracks(&format!("{title}-file")), site.tracks(&format!("{title}-object")));
        assert_eq!(wanted.len(), 2, "a picture and a sound");
        assert!(wanted == got, "{name} is made of an object as of a file");
        let read = machine.read_bytes(&key);
        measured(format!("{name}: {read} bytes read of {len}"));
        assert!(read * 10 <= len * 13, "{name}: {read} of {len}");
        // Beside the first byte, by which it was found.
        let spent = job["spent"].as_array().unwrap();
        let counted = spent.iter().find(|spent| spent["track"] == "source").unwrap();
        assert_eq!(counted["read_bytes"], read - 1, "{name}");
        assert_eq!(site.work(&machine), Vec::<PathBuf>::new(), "nothing is left");
    }
}

/// Noise, which no encoder makes small, a key frame a second: 30 s, some 25 MB.
fn noise(folder: &Path, name: &str) -> PathBuf {
    let film = folder.join(name);
    let noise = "color=gray:s=384x216:r=25:d=30,noise=alls=100:allf=t";
    let mut ffmpeg = run::command("ffmpeg");
    ffmpeg.args(["-v", "error", "-f", "lavfi", "-i", noise, "-pix_fmt", "yuv420p", "-g", "25"]);
    ffmpeg.args(["-c:v", "libx264", "-preset", "ultrafast", "-crf", "32"]);
    run::succeed(ffmpeg.arg(&film));
    film
}

#[test]
fn each_machine_reads_what_it_needs_and_nothing_twice() {
    let site = Site::new();
    let (one, two) = (Machine::new(&site, "one"), Machine::new(&site, "two"));
    let film = noise(site.folder.path(), "film.mp4");
    for name in ["film.mp4", "film.mkv"] {
        let file = match name {
            "film.mp4" => film.clone(),
            name => remuxed(&film, site.folder.path(), name),
        };
        let (key, len) = (format!("in/{name}"), fs::metadata(&file).unwrap().len());
        site.put(&key, &file);
        let (of_file, of_object) = (name.replace('.', "-file-"), name.replace('.', "-object-"));
        let id = site.submit(&one, &format!("s3://{BUCKET}/{key}"), &of_object);
        site.planned_and_killed(&one, &id);
        site.submit(&two, file.to_str().unwrap(), &of_file);
        let said = site.drained(&two);
        let job = site.job(&two, &id);
        assert_eq!(job["state"], "published", "{job:#} {said:?}");
        let what = |wanted: &str| -> Vec<&Value> {
            said.iter().filter(|line| line["what"] == wanted && line["job"] == *id).collect()
        };
        assert_eq!(what("holes"), Vec::<&Value>::new(), "what chunks need is known");
        let reads = what("read");
        let text = reads[0]["text"].as_str().unwrap();
        let first: u64 = text.split(' ').next().unwrap().parse().unwrap();
        assert!(first < len * 3 / 4, "{name}: {text}: not all of it is needed for a chunk");
        let (read_one, read_two) = (one.read_bytes(&key), two.read_bytes(&key));
        measured(format!(
            "{name} of {len} bytes: {read_one} read by the machine that planned and was killed, \
             {read_two} by the one that took over, {first} for its first chunk"
        ));
        for read in [read_one, read_two] {
            assert!(read > 0 && read * 10 <= len * 13, "{name}: {read} of {len}");
        }
        let (wanted, got) = (site.tracks(&of_file), site.tracks(&of_object));
        assert!(!wanted.is_empty() && wanted == got, "{name}: chunks over holes are the same");
        assert_eq!(site.work(&two), Vec::<PathBuf>::new(), "nothing is left");
        // What the killed one left goes when a worker starts there again.
        assert!(!site.work(&one).is_empty());
        site.drained(&one);
        assert_eq!(site.work(&one), Vec::<PathBuf>::new());
    }
}

/// An ffmpeg that makes no pictures of a source with holes.
fn wants_all(folder: &Path) -> PathBuf {
    let script = folder.join("ffmpeg");
    let text = "#!/bin/bash\ncase \" $* \" in *' -map [v0] '*)\nfor arg in \"$@\"; do\n\
                case \"$arg\" in file:*/sources/*) file=${arg#file:};; esac\ndone\n\
                [ -n \"$file\" ] && [ $(($(stat -c '%b * %B < %s' \"$file\"))) = 1 ] && exit 3;;\n\
                esac\nexec ffmpeg \"$@\"\n";
    fs::write(&script, text).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&script, open).unwrap();
    script
}

#[test]
fn a_chunk_that_fails_over_holes_is_made_again_over_the_whole() {
    let site = Site::new();
    let (one, two) = (Machine::new(&site, "one"), Machine::new(&site, "two"));
    site.put("in/film.mp4", &noise(site.folder.path(), "film.mp4"));
    let id = site.submit(&one, &format!("s3://{BUCKET}/in/film.mp4"), "film");
    site.planned_and_killed(&one, &id);
    let mut worker = site.command(&two, &["worker", "--drain", "--json"]);
    worker.env("HEADWATER_ENCODER__FFMPEG", wants_all(site.folder.path()));
    let (code, said) = outcome(&mut worker);
    assert_eq!(code, Some(0), "{said}");
    let again = said.lines().filter(|line| line.contains("again over the whole source")).count();
    assert_eq!(again, 1, "once it is whole there are no holes: {said}");
    let job = site.job(&two, &id);
    assert_eq!(job["state"], "published", "{job:#}");
    let chunks = job["task_list"].as_array().unwrap().iter();
    let failed = chunks.filter(|task| task["kind"] == "chunk" && task["failures"] != 0).count();
    assert_eq!(failed, 0, "{job:#}");
}

#[test]
fn another_object_in_its_place_is_refused() {
    let site = Site::new();
    let (one, two) = (Machine::new(&site, "one"), Machine::new(&site, "two"));
    let film = site.folder.path().join("film.mp4");
    encoder::sample(&Sample { rate: "25", width: 512, height: 288, seconds: 5 }, &film);
    site.put("in/film.mp4", &film);
    let address = format!("s3://{BUCKET}/in/film.mp4");
    let id = site.submit(&one, &address, "film");
    site.planned_and_killed(&one, &id);
    // As long, and another.
    let mut other = fs::read(&film).unwrap();
    *other.last_mut().unwrap() ^= 1;
    fs::write(&film, &other).unwrap();
    site.put("in/film.mp4", &film);
    site.drained(&two);
    let job = site.job(&two, &id);
    assert_eq!((&job["state"], &job["fault"]["kind"]), (&"failed".into(), &"source".into()));
    let text = job["fault"]["text"].as_str().unwrap();
    assert!(
        text.starts_with(&format!("{address} is not the object that was planned for"))
            && text.ends_with("; submit it again"),
        "{text}"
    );
    assert_eq!(site.work(&two), Vec::<PathBuf>::new(), "of a job that is over nothing is left");
}

#[test]
fn an_object_that_is_not_there_is_named() {
    let site = Site::new();
    let machine = Machine::new(&site, "one");
    let wrong = ["submit", "s3://films", "--title", "film"];
    let (code, said) = outcome(&mut site.command(&machine, &wrong));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("name an object as s3://bucket/key"), "{said}");
    let id = site.submit(&machine, &format!("s3://{BUCKET}/in/none.mp4"), "film");
    site.drained(&machine);
    let job = site.job(&machine, &id);
    assert_eq!((&job["state"], &job["fault"]["kind"]), (&"failed".into(), &"source".into()));
    let text = job["fault"]["text"].as_str().unwrap();
    assert!(
        text.starts_with(&format!("there is no such source: s3://{BUCKET}/in/none.mp4: 404")),
        "{text}"
    );
}
