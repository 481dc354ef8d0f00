//! What `headwater-origin check` and the origin say of credentials and permissions.

use headwater_tests::s3::{self, outcome};
use headwater_tests::s3_proxy::{Asked, Fault, Kind};
use headwater_tests::{binaries, run, scratch};

use crate::common::{Bench, HASTY, names};

const DENY: Fault = Fault::Status(403, "AccessDenied");

/// Runs `check`; its exit code and what it said.
fn check(store: &str, env: &[(&str, &str)]) -> (Option<i32>, String) {
    let folder = scratch::folder();
    let config = folder.path().join("headwater.toml");
    std::fs::write(&config, store).unwrap();
    let mut command = run::command(binaries::origin());
    command.args(["check", "--config"]).arg(&config).envs(s3::env()).envs(env.iter().copied());
    outcome(&mut command)
}

#[test]
fn a_good_bucket_has_nothing_to_find() {
    let bench = Bench::new();
    let (code, text) = check(&s3::settings(bench.proxy.address(), HASTY), &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("store s3://films/vod/one: 1 titles looked at, 1 can be served"),
        "{text}"
    );
    assert!(bench.proxy.taken().iter().all(|asked| !asked.kind.writes()), "it only reads");
}

#[test]
fn what_is_missing_is_named_with_what_to_grant() {
    let bench = Bench::new();
    let store = s3::settings(bench.proxy.address(), HASTY);
    let no_get = |asked: &Asked| asked.kind != Kind::List;
    // Without ListBucket a key that is missing is forbidden.
    let no_list = |asked: &Asked| asked.kind == Kind::List || names(asked, ".headwater-probe");
    let nothing = |_: &Asked| true;
    let list = "s3:ListBucket on arn:aws:s3:::films is not granted for the prefix vod/one/titles/";
    let get = "s3:GetObject on arn:aws:s3:::films/vod/one/titles/*";
    type Denied = fn(&Asked) -> bool;
    let table: [(Denied, &str); 3] = [(no_get, get), (no_list, list), (nothing, list)];
    for (denied, wanted) in table {
        bench.proxy.inject(move |asked| if denied(asked) { DENY } else { Fault::Pass });
        let (code, text) = check(&store, &[]);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(wanted), "wanted {wanted}:\n{text}");
        assert!(text.contains("docs/s3.md"), "{text}");
    }
}

#[test]
fn wrong_credentials_clocks_places_are_told_apart() {
    let bench = Bench::new();
    let store = s3::settings(bench.proxy.address(), HASTY);
    let far = store.replace("s3://films/", "s3://other-films/");
    let nobody = s3::settings("127.0.0.1:9".parse().unwrap(), HASTY);
    type Env = &'static [(&'static str, &'static str)];
    let table: [(&str, &str, Env, Fault, &str); 6] = [
        (
            "no credentials",
            &store,
            &[("AWS_ACCESS_KEY_ID", "")],
            Fault::Pass,
            "no usable credentials",
        ),
        (
            "a wrong secret",
            &store,
            &[("AWS_SECRET_ACCESS_KEY", "other")],
            Fault::Pass,
            "the secret key is wrong",
        ),
        (
            "an unknown key",
            &store,
            &[("AWS_ACCESS_KEY_ID", "AKIANOBODY")],
            Fault::Pass,
            "does not know this access key",
        ),
        (
            "a wrong clock",
            &store,
            &[],
            Fault::Status(403, "RequestTimeTooSkewed"),
            "this machine's clock is wrong",
        ),
        (
            "another bucket",
            &far,
            &[],
            Fault::Status(404, "NoSuchBucket"),
            "there is no such bucket",
        ),
        ("nobody there", &nobody, &[], Fault::Pass, "cannot be reached"),
    ];
    for (name, store, env, fault, wanted) in table {
        bench.proxy.inject(move |_| fault);
        let (code, text) = check(store, env);
        assert_eq!(code, Some(1), "{name}: {text}");
        assert!(text.contains(wanted), "{name}: wanted {wanted}:\n{text}");
        assert!(!text.contains(s3::SECRET_KEY), "{name}: {text}");
    }
}

#[test]
fn without_listbucket_a_title_is_served_and_an_unknown_one_is_clear() {
    let bench = Bench::new();
    let title = format!("{}/title.json", bench.title.id);
    bench.proxy.inject(move |asked| {
        let is_there = asked.target.contains(&title) || !names(asked, "title.json");
        if asked.kind == Kind::List || !is_there { DENY } else { Fault::Pass }
    });
    let origin = bench.origin(HASTY, 64, "");
    assert_eq!(origin.web().get(&bench.title.master()).status, 200);
    let answer = origin.web().get("/clear/nobody/master.m3u8");
    assert_eq!((answer.status, answer.error()), (503, "store_denied".to_owned()));
    assert!(answer.is_no_store());
    let log = origin.log();
    assert!(log.contains("missing where `s3:ListBucket` is not granted"), "{log}");
}
