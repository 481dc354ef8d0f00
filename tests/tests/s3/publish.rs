//! The encoder on S3: large objects in parts, and what is left when it is cut off.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use headwater_tests::encoder::{self, Sample};
use headwater_tests::s3::{self, Server, outcome};
use headwater_tests::s3_proxy::{Asked, Fault, Kind, Proxy};
use headwater_tests::{run, scratch, skip};

use crate::common::names;

/// One rendition of few bits, and one whose file takes more than one part.
const SMALL: &str = "[[encoder.ladder]]\nheight = 144\nmax_bitrate_kbps = 100\ncrf = 40\n";
const LARGE: &str = "[[encoder.ladder]]\nheight = 288\nmax_bitrate_kbps = 200000\ncrf = 10\n";
/// Short waiting; the least size of a part.
const HASTY: &str = "attempt_timeout_ms = 5000\nmax_attempts = 2\npart_size_mib = 5";

/// A source of two seconds.
pub fn small() -> &'static Path {
    static SOURCE: OnceLock<PathBuf> = OnceLock::new();
    SOURCE.get_or_init(|| {
        let source = scratch::lasting("s3-small").join("small.mp4");
        let sample = Sample { rate: "25", width: 512, height: 288, seconds: 2 };
        encoder::sample(&sample, &source);
        source
    })
}

/// A source that no encoder makes small: noise.
pub fn large() -> &'static Path {
    static SOURCE: OnceLock<PathBuf> = OnceLock::new();
    SOURCE.get_or_init(|| {
        let source = scratch::lasting("s3-large").join("large.mp4");
        let noise = "color=gray:s=512x288:r=25:d=6,noise=alls=100:allf=t";
        let mut ffmpeg = run::command("ffmpeg");
        ffmpeg.args(["-v", "error", "-f", "lavfi", "-i", noise, "-pix_fmt", "yuv420p"]);
        ffmpeg.args(["-c:v", "libx264", "-preset", "ultrafast", "-crf", "10"]);
        run::succeed(ffmpeg.arg(&source));
        source
    })
}

struct Bench {
    server: Server,
    proxy: Proxy,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let server = Server::start();
        let proxy = Proxy::start(server.address());
        Self { server, proxy, folder: scratch::folder() }
    }

    fn encode(&self, source: &Path, ladder: &str) -> (Option<i32>, String) {
        self.run(&["encode", "--title", "film", source.to_str().unwrap()], ladder)
    }

    fn run(&self, args: &[&str], ladder: &str) -> (Option<i32>, String) {
        let store = s3::settings(self.proxy.address(), HASTY);
        outcome(&mut s3::encoder(self.folder.path(), args, &store, ladder))
    }

    fn pointer(&self) -> Option<Vec<u8>> {
        fs::read(self.server.folder().join("titles/film/title.json")).ok()
    }

    /// A lease that was left because nothing could be reached lasts half a minute; not here.
    fn forget_lease(&self) {
        let _ = fs::remove_file(self.server.folder().join("leases/film"));
    }
}

fn count(asked: &[Asked], kind: Kind) -> usize {
    asked.iter().filter(|asked| asked.kind == kind).count()
}

#[test]
fn a_title_is_published_in_parts_read_back_and_verified() {
    let bench = Bench::new();
    let (code, text) = bench.encode(large(), LARGE);
    assert_eq!(code, Some(0), "{text}");
    let asked = bench.proxy.taken();
    assert_eq!((count(&asked, Kind::Create), count(&asked, Kind::Complete)), (1, 1), "{asked:#?}");
    assert!(count(&asked, Kind::Part) >= 2, "{asked:#?}");
    for asked in &asked {
        assert_eq!(asked.checksums, [] as [String; 0], "{asked:?}");
    }
    let pointer = asked.iter().rposition(|a| a.kind == Kind::Put && names(a, "title.json"));
    let after = &asked[pointer.expect("it was written") + 1..];
    let writes = |a: &&Asked| !matches!(a.kind, Kind::Get | Kind::List);
    let written: Vec<_> = after.iter().filter(writes).collect();
    let lease = |a: &&Asked| a.kind == Kind::Delete && names(a, "leases/film");
    assert!(written.len() == 1 && written.iter().all(lease), "only the lease goes: {after:#?}");
    for command in [&["verify", "film"][..], &["inspect", "film"]] {
        let (code, text) = bench.run(command, SMALL);
        assert_eq!(code, Some(0), "{text}");
    }
    assert_eq!(bench.server.unfinished(), [] as [String; 0]);
    assert!(bench.server.keys().iter().all(|key| !key.starts_with("leases/")), "given back");
}

#[test]
fn an_upload_that_fails_leaves_no_object_and_no_part() {
    let bench = Bench::new();
    bench.proxy.inject(|asked| match asked.kind {
        Kind::Part if asked.target.contains("partNumber=2") => Fault::Status(500, "InternalError"),
        _ => Fault::Pass,
    });
    let (code, text) = bench.encode(large(), LARGE);
    assert_eq!(code, Some(6), "{text}");
    assert!(text.contains("500 InternalError (request REQ42)"), "{text}");
    let asked = bench.proxy.taken();
    assert_eq!((count(&asked, Kind::Abort), count(&asked, Kind::Complete)), (1, 0), "{asked:#?}");
    assert_eq!(bench.server.unfinished(), [] as [String; 0]);
    assert_eq!(bench.server.keys(), [] as [String; 0]);
}

#[test]
fn an_answer_to_completion_that_is_lost_loses_no_title() {
    let bench = Bench::new();
    let mut first = true;
    bench.proxy.inject(move |asked| {
        let hit = asked.kind == Kind::Complete && std::mem::take(&mut first);
        if hit { Fault::LoseAnswer } else { Fault::Pass }
    });
    let (code, text) = bench.encode(large(), LARGE);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(count(&bench.proxy.taken(), Kind::Complete), 2);
    assert_eq!(bench.run(&["verify", "film"], SMALL).0, Some(0));
}

/// Nobody hears whether the pointer was written: what lies there says it. Where even that cannot
/// be read, the version's bytes stay, because the title may be live.
#[test]
fn a_pointer_whose_answer_is_lost_is_read_back() {
    let bench = Bench::new();
    let is_pointer = |asked: &Asked| asked.kind == Kind::Put && names(asked, "title.json");
    bench.proxy.inject(
        move |asked| {
            if is_pointer(asked) { Fault::LoseAnswer } else { Fault::Pass }
        },
    );
    let (code, text) = bench.encode(small(), SMALL);
    assert_eq!(code, Some(0), "{text}");
    let first = bench.pointer().expect("it is live");
    assert_eq!(bench.run(&["verify", "film"], SMALL).0, Some(0));

    let mut gone = false;
    bench.proxy.inject(move |asked| {
        if is_pointer(asked) {
            gone = true;
            return Fault::LoseAnswer;
        }
        if gone { Fault::Reset } else { Fault::Pass }
    });
    let (code, text) = bench.encode(small(), SMALL);
    assert_eq!(code, Some(6), "{text}");
    assert!(text.contains("kept, as the write that failed may still be carried out"), "{text}");
    bench.forget_lease();
    bench.proxy.heal();
    assert!(bench.pointer().expect("it is live") != first, "it was carried out");
    assert_eq!(bench.run(&["verify", "film"], SMALL).0, Some(0));
    let (code, text) = bench.encode(small(), SMALL);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn a_publication_cut_at_any_write_leaves_the_old_title() {
    cut_at(|k, asked| asked.kind.writes() || k % 3 == 0);
}

#[test]
fn a_publication_cut_at_any_request_leaves_the_old_title() {
    if skip::is_long("a publication cut at each of its requests") {
        cut_at(|_, _| true);
    }
}

fn cut_at(chosen: fn(usize, &Asked) -> bool) {
    let bench = Bench::new();
    let source = small();
    assert_eq!(bench.encode(source, SMALL).0, Some(0));
    bench.proxy.taken();
    assert_eq!(bench.encode(source, SMALL).0, Some(0));
    let requests = bench.proxy.taken();
    let commit = requests.iter().rposition(|a| a.kind == Kind::Put && names(a, "title.json"));
    let commit = commit.expect("the pointer was written");
    let before = bench.pointer();
    let cuts = (0..=commit).filter(|&k| chosen(k, &requests[k]));
    for cut in cuts {
        let mut passed = 0;
        bench.proxy.inject(move |_| {
            passed += 1;
            if passed <= cut { Fault::Pass } else { Fault::Reset }
        });
        let (code, text) = bench.encode(source, SMALL);
        assert_eq!(code, Some(6), "cut at request {cut}: {text}");
        assert!(bench.pointer() == before, "cut at request {cut}: another title");
        bench.forget_lease();
        // What a killed or helpless encode leaves, the next one takes back.
        bench.proxy.heal();
        assert_eq!(bench.run(&["verify", "film"], SMALL).0, Some(0), "cut at request {cut}");
    }
    let (code, text) = bench.encode(source, SMALL);
    assert_eq!(code, Some(0), "{text}");
    assert!(bench.pointer() != before);
    let versions: std::collections::BTreeSet<_> = bench
        .server
        .keys()
        .iter()
        .filter_map(|key| key.split('/').nth(2).map(str::to_owned))
        .collect();
    // title.json and three versions: two from before, one from now.
    assert_eq!(versions.len(), 4, "{versions:?}");
}

/// A server that ignores If-None-Match takes every lease: the object is looked at again, and the
/// last who wrote it has it.
#[test]
fn without_conditional_writes_a_title_has_one_writer_too() {
    let bench = Bench::new();
    let lease = bench.server.folder().join("leases/film");
    let is_lease = |asked: &Asked| asked.kind == Kind::Put && names(asked, "film");
    // To a server that finds no object every If-None-Match holds.
    let ignoring = lease.clone();
    bench.proxy.inject(move |asked| {
        if is_lease(asked) && asked.if_none_match == "*" {
            let _ = fs::remove_file(&ignoring);
        }
        Fault::Pass
    });
    let (code, text) = bench.encode(small(), SMALL);
    assert_eq!(code, Some(0), "{text}");
    let asked = bench.proxy.taken();
    let claims = asked.iter().filter(|a| is_lease(a) && a.if_none_match == "*").count();
    assert_eq!(claims, 2, "the second tries whether the first one's condition was heeded");
    assert!(!lease.exists(), "given back");
    let before = bench.pointer();

    // Another writes after our second write, and before we look again.
    let ignoring = lease.clone();
    let mut writes = 0;
    bench.proxy.inject(move |asked| {
        if is_lease(asked) {
            writes += 1;
            let _ = fs::remove_file(&ignoring);
        } else if writes == 2 && names(asked, "film") {
            fs::write(&ignoring, "{\"holder\":\"another\",\"beat\":0}").unwrap();
        }
        Fault::Pass
    });
    let (code, text) = bench.encode(small(), SMALL);
    assert_eq!(code, Some(6), "{text}");
    assert!(text.contains("is being encoded by another process"), "{text}");
    assert!(bench.pointer() == before, "another title");
    assert!(fs::read_to_string(&lease).unwrap().contains("another"), "not ours to remove");
}

#[test]
fn one_writer_a_title_and_a_dead_one_is_waited_for() {
    let bench = Bench::new();
    let source = small();
    let lease = bench.server.folder().join("leases/film");
    fs::create_dir_all(lease.parent().unwrap()).unwrap();
    let note = |beat: u32| format!("{{\"holder\":\"another\",\"beat\":{beat}}}");
    fs::write(&lease, note(0)).unwrap();
    let alive = AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut beat = 0;
            while alive.load(Ordering::SeqCst) {
                beat += 1;
                fs::write(&lease, note(beat)).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(500));
            }
        });
        let (code, text) = bench.encode(source, SMALL);
        alive.store(false, Ordering::SeqCst);
        assert_eq!(code, Some(6), "{text}");
        assert!(text.contains("is being encoded by another process"), "{text}");
    });
    let started = std::time::Instant::now();
    let (code, text) = bench.encode(source, SMALL);
    assert_eq!(code, Some(0), "{text}");
    assert!(started.elapsed().as_secs() >= 28, "a lease lasts 30 s, not {:?}", started.elapsed());
    assert!(!lease.exists(), "given back");
}
