//! The harness against the origin: both sides count the same, and every body is the right one.

use std::fs;

use headwater_tests::identity::Identity;
use headwater_tests::origin::Origin;
use headwater_tests::titles::Rate;
use headwater_tests::{binaries, run, scratch};

use crate::liar::{Answer, Liar};
use crate::run::{Ran, bench};

fn url(origin: &Origin, path: &str) -> String {
    format!("http://{}{path}", origin.address())
}

/// Requests that the origin has answered with 200, without its health checks.
fn answered(origin: &Origin) -> f64 {
    ["hls_master", "hls_media", "dash", "init", "segment"]
        .iter()
        .map(|kind| origin.metric(&format!("headwater_origin_requests_total{{kind=\"{kind}\",")))
        .sum()
}

#[test]
fn fetch_asks_for_a_whole_title_and_verifies_it() {
    let title = Rate::Film.title();
    let origin = Origin::start(&title.store);
    let before = answered(&origin);
    let [hls, mpd] = [title.master(), title.mpd()].map(|path| url(&origin, &path));
    let ran = bench(&["fetch", "--title", &hls, "--title", &mpd, "--requests", "200"]);
    ran.ends_with(0);
    // Three pictures and a sound of three segments: 3 segments and an init each, 4 playlists, 2
    // manifests. Both manifests lead to the same segments.
    assert_eq!(ran.figure("urls"), 4.0 * 4.0 + 4.0 + 2.0);
    for (name, wanted) in
        [("requests", 200.0), ("good", 200.0), ("verified", 200.0), ("failed", 0.0)]
    {
        assert_eq!(ran.figure(name), wanted, "{name}");
    }
    assert_eq!(ran.report["latencies"]["time"]["count"], 200);
    // To find out, 1 + 4 playlists and the MPD; once to warm; 200.
    assert_eq!(answered(&origin) - before, 6.0 + 22.0 + 200.0);
}

/// HTTP/1.1 and HTTP/2, with TLS and without; open and closed; with one connection a request.
#[test]
fn every_way_of_speaking_brings_the_same_bytes() {
    let title = Rate::Film.title();
    let folder = scratch::folder();
    let identity = Identity::write(folder.path(), "h2");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tls = listener.local_addr().unwrap();
    drop(listener);
    let toml = format!(
        "[store]\nurl = \"file://{}\"\n[origin]\ngrace_s = 1\n[origin.tls]\nlisten = [\"{tls}\"]\n\
         certificates = [{{ cert = \"{}\", key = \"{}\" }}]\n[profiles.clear]\nsegment_ms = 6000\n",
        title.store.display(),
        identity.cert.display(),
        identity.key.display()
    );
    let mut origin = Origin::launch(&toml, &[]);
    origin.wait_until_ready();
    let plain = url(&origin, &title.master());
    let secure = format!("https://{tls}{}", title.master());
    let sums = folder.path().join("sums").display().to_string();
    bench(&["fetch", "--title", &plain, "--cold", "--write-sums", &sums]).ends_with(0);
    assert_eq!(fs::read_to_string(&sums).unwrap().lines().count(), 21);
    let authority = identity.authority.display().to_string();
    let ways: [&[&str]; 7] = [
        &["--title", &plain, "--http", "2"],
        &["--title", &plain, "--fresh"],
        &["--title", &plain, "--rate", "200"],
        &["--title", &secure, "--ca", &authority],
        &["--title", &secure, "--ca", &authority, "--http", "2"],
        &["--title", &secure, "--insecure", "--http", "2", "--rate", "200", "--spacing", "even"],
        &["--title", &secure, "--insecure", "--http", "2", "--fresh"],
    ];
    for way in ways {
        let args = [&["fetch", "--cold", "--sums", &sums][..], way].concat();
        let ran = bench(&args);
        ran.ends_with(0);
        let counts = (ran.figure("good"), ran.figure("verified"));
        assert_eq!(counts, (21.0, 21.0), "{way:?}");
        let fresh = way.contains(&"--fresh");
        assert_eq!(ran.figure("connections") >= 21.0, fresh, "{way:?}");
    }
    // Nobody believes a certificate of an authority that is not known.
    let ran = bench(&["fetch", &secure, "--requests", "1"]);
    ran.ends_with(3);
    assert!(ran.said.contains("certificate"), "{}", ran.said);
    // One digit of one sum is enough.
    let listed = fs::read_to_string(&sums).unwrap();
    let (first, rest) = listed.split_at(1);
    fs::write(&sums, format!("{}{rest}", if first == "0" { "1" } else { "0" })).unwrap();
    let ran = bench(&["fetch", "--title", &plain, "--cold", "--sums", &sums]);
    ran.ends_with(1);
    assert_eq!((ran.failed("wrong_body"), ran.figure("good")), (1, 20.0));
}

#[test]
fn two_servers_are_compared_by_pairs_and_judged_by_a_budget() {
    let title = Rate::Film.title();
    let [a, b] = [Origin::start(&title.store), Origin::start(&title.store)];
    let (pid_a, pid_b) = (a.id().to_string(), b.id().to_string());
    let below = |origin: &Origin| url(origin, "/clear");
    let (base_a, base_b) = (below(&a), below(&b));
    let path = format!("{}/master.m3u8", title.id);
    let compare = |more: &[&str]| -> Ran {
        let args = ["compare", &base_a, &base_b, "--title", &path, "--what", "segments"];
        let pids = ["--pid-a", &pid_a, "--pid-b", &pid_b, "--pairs", "5", "--requests", "600"];
        bench(&[&args[..], &pids, more].concat())
    };
    let kept = compare(&["--budget", "1000", "--assert", "ratio_cpu_s_per_gb<1000"]);
    kept.ends_with(0);
    // 12 segments; 600 of them in 5 turns of 2 servers, all compared with what A showed first.
    assert_eq!((kept.figure("urls"), kept.figure("requests")), (12.0, 6000.0));
    assert_eq!(kept.figure("verified"), 6000.0);
    for name in ["cpu_s_per_gb", "cpu_us_per_request", "rate_per_s", "p50_ttfb_ms", "p99_ttfb_ms"] {
        assert!(kept.figure(&format!("a_{name}")) > 0.0, "{name}");
        let [low, median, high] =
            ["_low", "", "_high"].map(|end| kept.figure(&format!("ratio_{name}{end}")));
        assert!(low <= median && median <= high, "{name}: {low} {median} {high}");
    }
    let rows = kept.report["comparison"]["rows"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["ratios"].as_array().unwrap().len() == 5), "{rows:?}");
    let missed = compare(&["--budget", "0.0001"]);
    missed.ends_with(1);
    assert_eq!(missed.report["comparison"]["budget"]["verdict"], "missed");
    // Fewer than five pairs decide nothing.
    let args = ["compare", &base_a, &base_b, "--title", &path, "--pairs", "2", "--requests", "20"];
    bench(&[&args[..], &["--budget", "1000"]].concat()).ends_with(4);
    // A process that is not there; a CPU budget without processes.
    bench(&[&args[..], &["--pid-a", "4194304", "--pid-b", &pid_b]].concat()).ends_with(3);
    bench(&[&args[..], &["--budget", "1", "--of", "cpu_s_per_gb"]].concat()).ends_with(2);
    // More of a rate is better: a budget of it would praise the slow.
    bench(&[&args[..], &["--budget", "1", "--of", "rate_per_s"]].concat()).ends_with(2);
}

/// A server that shows other bytes than A is found out.
#[test]
fn a_comparison_is_of_the_same_bytes() {
    let title = Rate::Film.title();
    let a = Origin::start(&title.store);
    let folder = scratch::folder();
    let files = folder.path().join("files");
    fs::write(&files, format!("{}\n", title.master())).unwrap();
    let liar = Liar::start(|_, _| Answer::Good, |_| b"something else".to_vec());
    let (base, files) = (url(&a, ""), files.display().to_string());
    let (other, common) = (liar.url(""), ["--urls", &files, "--pairs", "1", "--requests", "5"]);
    let ran = bench(&[&["compare", &base, &other][..], &common].concat());
    ran.ends_with(3);
    assert!(
        ran.said.contains("no URL could be had") && ran.said.contains("CRC32C"),
        "{}",
        ran.said
    );
    let allowed = [&["compare", &base, &other][..], &common, &["--bodies-may-differ"]].concat();
    bench(&allowed).ends_with(0);
}

#[test]
fn players_watch_hls_and_dash_to_the_end() {
    let title = Rate::Sixty.title();
    let origin = Origin::start(&title.store);
    let folder = scratch::folder();
    let page = folder.path().join("report.html");
    let [hls, mpd] = [title.master(), title.mpd()].map(|path| url(&origin, &path));
    let before = answered(&origin);
    let args = ["play", &hls, &mpd, "--rate", "4", "--duration-s", "12", "--seek-every-s", "20"];
    let html = ["--html", &page.display().to_string()].map(str::to_owned);
    let html: Vec<_> = html.iter().map(String::as_str).collect();
    let ran =
        bench(&[&args[..], &html, &["--assert", "failed==0", "--assert", "gave_up==0"]].concat());
    ran.ends_with(0);
    // A title of four seconds: who came in the first half saw all of it, however busy the machine.
    assert!(
        ran.figure("players") > 20.0 && ran.figure("ended") > 5.0,
        "{:#}",
        ran.report["figures"]
    );
    assert!(ran.figure("played_s") >= ran.figure("ended") * 1.0, "{:#}", ran.report["figures"]);
    assert_eq!(ran.figure("good"), ran.figure("requests"));
    // All but the first body of each URL was compared: 2 manifests, 4 playlists, 4 inits, 4 segments.
    assert!(ran.figure("good") - ran.figure("verified") <= 14.0, "{:#}", ran.report["figures"]);
    // Viewers who leave at the end take their requests along.
    let seen = answered(&origin) - before;
    let abandoned = ran.figure("abandoned");
    assert!((ran.figure("good")..=ran.figure("good") + abandoned).contains(&seen), "{seen}");
    for name in ["ttfb", "segment", "start"] {
        assert!(ran.report["latencies"][name]["count"].as_u64() > Some(20), "{name}");
    }
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("<svg") && page.contains("rebuffer_ratio") && !page.contains("NaN"));
}

/// Tokens by path: through the exchange of a manifest's token for its children's.
#[test]
fn players_bring_their_tokens() {
    const SECRET: (&str, &str) =
        ("SECRET", "abababababababababababababababababababababababababababababababab");
    let title = Rate::Sixty.title();
    let folder = scratch::folder();
    let config = folder.path().join("headwater.toml");
    let toml = format!(
        "[store]\nurl = \"file://{}\"\n[origin]\ngrace_s = 1\n[origin.tokens]\n\
         keys = [{{ id = \"k\", secret = \"env:SECRET\" }}]\nown_keys = [\"k\"]\n\
         [profiles.closed.access]\nenforced_by = \"origin\"\nexchange = true\n",
        title.store.display()
    );
    fs::write(&config, &toml).unwrap();
    let mut origin = Origin::launch(&toml, &[SECRET]);
    origin.wait_until_ready();
    let sign = |says: [&str; 2]| {
        let mut sign = run::command(binaries::origin());
        sign.args(["sign", "--key", "k", "--lasts-s", "600"]).args(says);
        let token = run::succeed(sign.arg("--config").arg(&config).envs([SECRET]));
        String::from_utf8(token).unwrap().trim().to_owned()
    };
    let path = format!("/closed/{}/master.m3u8", title.id);
    let master = url(&origin, &path);
    let args = ["play", &master, "--rate", "3", "--duration-s", "6"];
    let tokens = folder.path().join("tokens");
    // One for all of the profile; one for the manifest's URL alone, which becomes another one.
    for (says, redirects) in [(["--profile", "closed"], false), (["--path", &path], true)] {
        fs::write(&tokens, format!("{}\n{}\n", sign(says), sign(says))).unwrap();
        let ran = bench(&[&args[..], &["--tokens", &tokens.display().to_string()]].concat());
        ran.ends_with(0);
        assert!(ran.figure("good") > 20.0 && ran.figure("verified") > 5.0, "{:#}", ran.report);
        assert_eq!(ran.figure("redirects") > 5.0, redirects, "{says:?}");
    }
    let ran = bench(&args);
    ran.ends_with(1);
    assert!(ran.failed("status_401") >= 3 && ran.figure("good") == 0.0, "{:#}", ran.report);
}
