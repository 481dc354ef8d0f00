//! What an operator does to a running origin: purge, warm-up, limits of one client.

use rustix::process::Signal;

use crate::binary::{Running, outcome};
use crate::common::{Client, Stored, VERSION};
use crate::net::until;

fn warmed(running: &Running, outcome: &str) -> u64 {
    let text = Client::connect(running.admin).ask("GET", "/metrics").body;
    let text = String::from_utf8(text).unwrap();
    let series = format!("headwater_origin_warmed_total{{outcome=\"{outcome}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).map_or(0, |n| n.parse().unwrap())
}

#[test]
fn purge_and_warm_are_commands_and_a_configuration_warms_too() {
    let stored = Stored::with_movie();
    let running = Running::start(&stored, "[origin.warm_up]\ntitles = [\"movie\"]\n");
    until("the title is made ready", || warmed(&running, "made") == 13);
    let config = stored.folder.path().join("origin.toml");
    let config = config.to_str().unwrap();
    let run = |arguments: &[&str]| {
        let (code, out, err) = outcome(&[arguments, &["--config", config]].concat());
        (code.unwrap(), out, err)
    };
    let (code, out, _) = run(&["purge", "--title", "movie"]);
    let wanted = "let go: 13 responses, 0 ranges of stored media, 1 opened versions, 1 pointers\n";
    assert_eq!((code, &*out), (0, wanted));
    let (code, out, _) = run(&["warm", "movie"]);
    assert_eq!((code, &*out), (0, "13 made, 0 were there\n"));
    let version = VERSION.to_string();
    let (code, out, _) = run(&["purge", "--version", &version, "--profile", "clear", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, json["responses"].as_u64(), json["versions"].as_u64()),
        (0, Some(13), Some(0))
    );
    let (code, out, _) = run(&["warm", "movie", "nobody"]);
    assert_eq!((code, &*out), (1, "13 made, 0 were there\nnobody (any profile): unknown_title\n"));
    // What is wrong is said with what to do.
    for (arguments, code, word) in [
        (&["purge"][..], 2, "--title <TITLE>"),
        (&["purge", "--all", "--title", "movie"], 2, "cannot be used with"),
        (&["purge", "--title", "a/b"], 2, "a/b"),
        (&["purge", "--all", "--admin", "127.0.0.1:1"], 1, "name its admin port with --admin"),
    ] {
        let (got, out, err) = run(arguments);
        assert!(got == code && err.contains(word), "{arguments:?}: {got} {out} {err}");
    }
    let listen = running.listen.to_string();
    let (code, _, err) = run(&["purge", "--all", "--admin", &listen]);
    assert!(code == 1 && err.contains("says 404"), "a port that is not the admin's: {err}");
    // A reload warms what it names.
    let toml = std::fs::read_to_string(config).unwrap();
    std::fs::write(config, toml.replace("[\"movie\"]", "[\"movie\"]\nsegments = 2")).unwrap();
    running.signal(Signal::HUP);
    until("the second segments are there", || warmed(&running, "made") == 13 + 13 + 13 + 3);
}

#[test]
fn an_address_has_so_many_connections() {
    let stored = Stored::with_movie();
    let running = Running::start(&stored, "[origin.limits]\nmax_client_connections = 2\n");
    let mut kept = [running.client(), running.client()];
    for client in &mut kept {
        assert_eq!(client.ask("GET", "/healthz").status, 200);
    }
    assert!(running.client().is_closed(), "a third");
    drop(kept);
    until("there is room again", || {
        let mut client = running.client();
        client.send("GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n");
        !client.is_closed()
    });
}
