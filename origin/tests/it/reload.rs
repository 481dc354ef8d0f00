//! SIGHUP: a good configuration is taken while requests run, a bad one is not.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use rustix::process::Signal;

use crate::binary::Running;
use crate::common::{Client, Stored};
use crate::net::until;

fn reloads(admin: &mut Client, outcome: &str) -> u64 {
    let text = String::from_utf8(admin.ask("GET", "/metrics").body).unwrap();
    let series = format!("headwater_origin_reloads_total{{outcome=\"{outcome}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).map_or(0, |n| n.parse().unwrap())
}

#[test]
fn a_good_configuration_is_taken_and_a_bad_one_is_not() {
    let stored = Stored::with_movie();
    let running = Running::start(&stored, "");
    let config = stored.folder.path().join("origin.toml");
    let first = fs::read_to_string(&config).unwrap();
    let (mut client, mut admin) = (running.client(), Client::connect(running.admin));
    // Somebody keeps asking, on one connection and on fresh ones; nobody is refused.
    let (going, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    let load = {
        let (going, asked, address) = (Arc::clone(&going), Arc::clone(&asked), running.listen);
        thread::spawn(move || {
            let mut kept = Client::connect(address);
            while going.load(Ordering::Relaxed) {
                let mut fresh = Client::connect(address);
                for client in [&mut kept, &mut fresh] {
                    assert_eq!(client.ask("GET", "/clear/movie/master.m3u8").status, 200);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    };
    assert_eq!(client.ask("GET", "/vip/movie/master.m3u8").status, 404);
    let with_vip = format!("{first}\n[profiles.clear]\n[profiles.vip]\nsegment_ms = 4000\n");
    fs::write(&config, &with_vip).unwrap();
    running.signal(Signal::HUP);
    until("it is taken", || reloads(&mut admin, "applied") == 1);
    assert_eq!(client.ask("GET", "/vip/movie/master.m3u8").status, 200, "on the same connection");
    let change = "\"change\":\"profiles.vip.segment_ms: none -> 4000\"";
    until("the log has each change", || running.said().contains(change));
    assert!(!running.said().contains("profiles.clear."), "and nothing that did not change");

    for bad in [
        "[profiles",
        "[profiles.vip]\nsegment_ms = 1\n",
        "[profiles.clear]\n[profiles.vip]\nmanifest_max_age_s = 86400\n",
    ] {
        let before = reloads(&mut admin, "refused");
        fs::write(&config, format!("{first}\n{bad}")).unwrap();
        running.signal(Signal::HUP);
        until("it is refused", || reloads(&mut admin, "refused") == before + 1);
        assert_eq!(client.ask("GET", "/vip/movie/master.m3u8").status, 200, "{bad}");
    }
    let told = "configuration refused: everything is as before";
    until("the log has each refusal", || running.said().matches(told).count() == 3);
    // What is no longer admitted is not served from the cache either.
    let master = String::from_utf8(client.ask("GET", "/vip/movie/master.m3u8").body).unwrap();
    let playlist = master.lines().find(|line| line.ends_with("index.m3u8")).unwrap();
    let playlist = format!("/vip/movie/{playlist}");
    assert_eq!(client.ask("GET", &playlist).status, 200);
    fs::write(&config, format!("{with_vip}titles = [\"other\"]\n")).unwrap();
    running.signal(Signal::HUP);
    until("it is taken", || reloads(&mut admin, "applied") == 2);
    assert_eq!(client.ask("GET", &playlist).status, 404);
    running.signal(Signal::HUP);
    until("nothing changed", || reloads(&mut admin, "unchanged") == 1);
    going.store(false, Ordering::Relaxed);
    load.join().unwrap();
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked > 10, "{asked} requests are no load");
}
