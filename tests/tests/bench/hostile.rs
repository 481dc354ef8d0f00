//! What a server does wrong is counted as what it was, and never taken for good.

use crate::liar::{Answer, Liar};
use crate::run::bench;

fn body(path: &str) -> Vec<u8> {
    path.bytes().cycle().take(40_000).collect()
}

/// One of each eight in turn, after a good warm-up of the one URL.
fn one_of_each(n: usize) -> Answer {
    const TURN: [Answer; 8] = [
        Answer::Good,
        Answer::WrongBytes,
        Answer::Good,
        Answer::Cut,
        Answer::Refused,
        Answer::Gone,
        Answer::Silent,
        Answer::Good,
    ];
    if n == 0 { Answer::Good } else { TURN[(n - 1) % TURN.len()] }
}

#[test]
fn every_failure_is_counted_as_what_it_was() {
    let liar = Liar::start(|n, _| one_of_each(n), body);
    for pressure in [&["--connections", "1"][..], &["--rate", "20", "--spacing", "even"]] {
        let asked_before = liar.asked().len();
        let url = liar.url("/a");
        let mut args = vec!["fetch", &url, "--requests", "24", "--timeout-s", "1"];
        args.extend(pressure);
        let open = pressure.len() > 2;
        let ran = bench(&args);
        ran.ends_with(1);
        assert_eq!(
            (ran.figure("requests"), ran.figure("warmup_failed")),
            (24.0, 0.0),
            "{pressure:?}"
        );
        assert_eq!(ran.figure("good") + ran.figure("failed"), 24.0);
        for (kind, wanted) in [
            ("wrong_body", 3),
            ("cut_body", 3),
            ("status_503", 3),
            ("no_answer", 3),
            ("timeout", 3),
        ] {
            assert_eq!(
                ran.failed(kind),
                wanted,
                "{kind}, {pressure:?}: {:#}",
                ran.report["failures"]
            );
        }
        assert_eq!((ran.figure("good"), ran.figure("verified")), (9.0, 9.0));
        assert_eq!(ran.figure("bytes"), 9.0 * 40_000.0);
        assert_eq!(ran.report["latencies"]["ttfb"]["count"], 9);
        // What it says it asked is what was asked, the warm-up included.
        assert_eq!(liar.asked().len() - asked_before, 25, "{pressure:?}");
        // In an open loop nobody waits for the silent: 24 requests at 20 a second.
        let elapsed_s = ran.figure("elapsed_s");
        assert!(open || elapsed_s >= 3.0, "{elapsed_s}");
    }
}

#[test]
fn assertions_end_the_run_as_they_say() {
    let liar = Liar::start(|n, _| if n == 3 { Answer::Refused } else { Answer::Good }, body);
    let url = liar.url("/a");
    let args = ["fetch", &url, "--requests", "5", "--connections", "1"];
    let asserting = |assertions: &[&str]| {
        let flags = assertions.iter().flat_map(|text| ["--assert", text]);
        bench(&args.into_iter().chain(flags).collect::<Vec<_>>())
    };
    // Only the first run meets the refusal.
    let first = asserting(&["p99_ttfb_ms<60000"]);
    first.ends_with(1);
    assert_eq!(first.failed("status_503"), 1);
    asserting(&["p99_ttfb_ms<60000", "good==5"]).ends_with(0);
    asserting(&["good>5"]).ends_with(1);
    for (wrong, why) in [("p99_tfb_ms<5", "no figure `p99_tfb_ms`"), ("good", "no comparison")] {
        let ran = asserting(&[wrong]);
        ran.ends_with(2);
        assert!(ran.said.contains(why), "{}", ran.said);
    }
}

#[test]
fn a_server_that_is_not_there_is_no_result() {
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let ran = bench(&["fetch", &format!("http://{nobody}/a"), "--requests", "3"]);
    ran.ends_with(3);
    assert!(ran.said.contains("no URL could be had"), "{}", ran.said);
    let ran = bench(&["fetch", &format!("http://{nobody}/a"), "--requests", "3", "--cold"]);
    ran.ends_with(2);
    let ran = bench(&["fetch", &format!("http://{nobody}/a"), "--cold"]);
    ran.ends_with(1);
    assert_eq!((ran.failed("connect"), ran.figure("failed_share")), (1, 1.0));
}

/// The same seed asks the same things in the same order.
#[test]
fn a_seed_repeats_a_run() {
    let liar = Liar::start(|_, _| Answer::Good, body);
    let urls: Vec<_> = (0..5).map(|n| liar.url(&format!("/{n}"))).collect();
    let asked = |seed: &str| {
        let before = liar.asked().len();
        let mut args = vec!["fetch", "--order", "random", "--requests", "40"];
        args.extend(["--connections", "1", "--seed", seed]);
        args.extend(urls.iter().map(String::as_str));
        bench(&args).ends_with(0);
        let asked = liar.asked();
        asked[before..].iter().map(|asked| asked.path.clone()).collect::<Vec<_>>()
    };
    let first = asked("7");
    assert_eq!(first.len(), 45);
    assert_eq!(first, asked("7"));
    assert_ne!(first, asked("8"));
}

const MASTER: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=320000\nv/index.m3u8\n";
const MEDIA: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MAP:URI=\"init.mp4\"\n\
    #EXTINF:1.0,\n1.m4s\n#EXTINF:1.0,\n2.m4s\n#EXTINF:1.0,\n3.m4s\n#EXT-X-ENDLIST\n";

fn title(path: &str) -> Vec<u8> {
    if path.ends_with("master.m3u8") {
        MASTER.as_bytes().to_vec()
    } else if path.ends_with(".m3u8") {
        MEDIA.as_bytes().to_vec()
    } else {
        body(path)
    }
}

/// One refusal is asked for again and played on; a segment that is never right ends the visit.
#[test]
fn players_try_again_and_give_up_in_the_end() {
    let fails = |how: Answer, path: &'static str, times: usize| {
        let seen = std::sync::atomic::AtomicUsize::new(0);
        Liar::start(
            move |_, asked| {
                let hit = asked.ends_with(path)
                    && seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < times;
                if hit { how } else { Answer::Good }
            },
            title,
        )
    };
    let play = |liar: &Liar| {
        let url = liar.url("/t/master.m3u8");
        // One player: the second one would come at 1.5 s.
        bench(&[
            "play",
            &url,
            "--rate",
            "4",
            "--spacing",
            "even",
            "--max-players",
            "1",
            "--duration-s",
            "0.4",
        ])
    };
    // One second is too short to play: the visit ends with the run, but what came is counted.
    let good = fails(Answer::Good, "none", 0);
    let ran = play(&good);
    ran.ends_with(0);
    assert_eq!((ran.figure("players"), ran.figure("failed")), (1.0, 0.0));
    let cases = [
        (Answer::Refused, "2.m4s", 1, "status_503", 1, false),
        (Answer::Cut, "2.m4s", 2, "cut_body", 2, false),
        (Answer::Refused, "2.m4s", 99, "status_503", 3, true),
        (Answer::Gone, "master.m3u8", 99, "no_answer", 3, true),
    ];
    for (how, path, times, kind, counted, gives_up) in cases {
        let liar = fails(how, path, times);
        let url = liar.url("/t/master.m3u8");
        let args = ["play", &url, "--rate", "4", "--spacing", "even", "--max-players", "1"];
        let ran = bench(&[&args[..], &["--duration-s", "8", "--assert", "status_404==0"]].concat());
        ran.ends_with(0);
        // Further players were turned away while one was there, and each is a failure of its own.
        assert!(ran.failed("not_sent") as f64 == ran.figure("turned_away"), "{kind}");
        let of_kind = ran.failed(kind);
        assert!(of_kind >= counted, "{kind}: {of_kind}\n{:#}", ran.report["failures"]);
        assert!(times > 90 || of_kind == counted, "{kind}: {of_kind}");
        assert_eq!(ran.figure("gave_up") > 0.0, gives_up, "{kind}");
        assert!(gives_up || ran.figure("ended") >= 1.0, "{kind}: {:#}", ran.report["figures"]);
    }
}

/// A line of a third of the rate: it starts when two seconds are there, and runs out.
#[test]
fn a_poor_line_stalls_and_is_told() {
    let long = |path: &str| {
        let segments: String = (1..=8).map(|n| format!("#EXTINF:1.0,\n{n}.m4s\n")).collect();
        let list = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n{segments}#EXT-X-ENDLIST\n");
        if path.ends_with("index.m3u8") { list.into_bytes() } else { title(path) }
    };
    let liar = Liar::start(|_, _| Answer::Good, long);
    let url = liar.url("/t/master.m3u8");
    let args = ["play", &url, "--rate", "1", "--spacing", "even", "--duration-s", "14"];
    let ran = bench(&[&args[..], &["--line-mbps", "0.1"]].concat());
    ran.ends_with(0);
    let ratio = ran.figure("rebuffer_ratio");
    assert!(ran.figure("stalls") > 0.0 && ratio > 0.05, "{:#}", ran.report["figures"]);
    let seconds = ran.report["seconds"].as_array().unwrap();
    let most = seconds.iter().filter_map(|second| second["stalled"].as_u64()).max();
    assert!(most > Some(0), "who stalls is seen while it lasts");
}

/// Wrong bytes of a manifest are wrong bytes, before anybody reads it.
#[test]
fn manifests_that_cannot_be_read_are_failures() {
    let liar =
        Liar::start(|_, _| Answer::Good, |path| format!("no manifest at {path}").into_bytes());
    let url = liar.url("/t/manifest.mpd");
    let ran = bench(&["play", &url, "--rate", "1", "--spacing", "even", "--duration-s", "5"]);
    ran.ends_with(1);
    assert!(ran.failed("manifest") >= 3 && ran.figure("never_started") >= 1.0, "{:#}", ran.report);
}

/// What a player tells, as a server hears it.
#[test]
fn players_send_cmcd_and_their_token() {
    let liar = Liar::start(|_, _| Answer::Good, title);
    let url = liar.url("/t/master.m3u8");
    let args = ["play", &url, "--rate", "5", "--spacing", "even", "--duration-s", "1"];
    bench(&[&args[..], &["--token", "abc.def"]].concat()).ends_with(0);
    let asked = liar.asked();
    assert!(asked.iter().all(|asked| asked.path.starts_with("/~abc.def/t/")), "{asked:?}");
    let field = |path: &str, name: &str| {
        let of_it =
            asked.iter().find(|asked| asked.path.ends_with(path)).expect("it was asked for");
        let line = of_it.fields.iter().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("{path} has no {name}: {of_it:?}")).clone()
    };
    assert_eq!(field("master.m3u8", "cmcd-object"), "cmcd-object: ot=m");
    assert_eq!(field("init.mp4", "cmcd-object"), "cmcd-object: ot=i");
    assert_eq!(field("1.m4s", "cmcd-object"), "cmcd-object: br=320,d=1000,ot=av,tb=320");
    assert!(field("1.m4s", "cmcd-request").contains("nor=\"2.m4s\",su"), "a start is urgent");
    assert!(field("1.m4s", "cmcd-session").contains("cid=\"/t/master.m3u8\",sf=h,sid=\""));
    let before = asked.len();
    bench(&[&args[..], &["--no-cmcd"]].concat()).ends_with(0);
    let quiet = &liar.asked()[before..];
    assert!(!quiet.iter().flat_map(|asked| &asked.fields).any(|line| line.starts_with("cmcd")));
}
