//! Loading as an operator meets it: files, variables, and what is said when they are wrong.

use std::path::PathBuf;

use headwater_config::{AccessLog, Config, Place, Preset, ProviderKind, Scheme, StoreUrl, System};

/// Loads a file with these words, and variables over it.
fn load(text: &str, env: &[(&str, &str)]) -> Result<Config, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("h.toml");
    std::fs::write(&path, text).expect("a file in it");
    let outcome = Config::load(Some(&path), variables(env));
    outcome.map_err(|error| error.to_string().replace(&path.display().to_string(), "h.toml"))
}

fn variables(env: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    let owned: Vec<_> =
        env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    owned.into_iter()
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(load("", &[]), Ok(Config::default()));
    assert_eq!(load("[profiles]\n", &[]), Ok(Config::default()));
    assert!(!Config::default().origin.page);
}

#[test]
fn no_file_is_the_embedded_configuration() {
    let none = Config::load(None, variables(&[]));
    assert_eq!(none, Ok(Config::embedded()));
    assert!(Config::embedded().origin.page);
    let named = Config::load(None, variables(&[("HEADWATER_PROFILES__VIP__SEGMENT_MS", "4000")]))
        .expect("a good variable");
    let names: Vec<_> = named.profiles.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["vip"], "a named profile takes the default one's place");
    let quiet = Config::load(None, variables(&[("HEADWATER_ORIGIN__PAGE", "false")]));
    assert!(!quiet.expect("a good variable").origin.page);
}

#[test]
fn listeners_with_tls_and_their_proxies() {
    let text = r#"
        [origin]
        listen = []
        trusted_proxies = ["10.0.0.0/8", "::1"]
        [origin.tls]
        listen = ["[::]:443"]
        min_version = "1.3"
        certificates = [{ cert = "a.pem", key = "a.key" }]
    "#;
    let origin = load(text, &[]).expect("a good file").origin;
    assert!(origin.listen.is_empty() && origin.tls.listen.len() == 1);
    assert_eq!(origin.tls.certificates[0].key, PathBuf::from("a.key"));
    assert_eq!(origin.trusted_proxies[1].to_string(), "::1");
    for (wrong, said) in [
        ("trusted_proxies = [\"10.0.0.0/8\", \"10.0.0.1/8\"]", "bits after the prefix are not 0"),
        ("tls.min_version = \"1.1\"", "1.2"),
        ("tls.certificates = [{ cert = \"a.pem\" }]", "key"),
        ("tls.certificates = [{ cert = \"a\", key = \"b\", kye = \"c\" }]", "kye"),
    ] {
        let refused = load(&format!("[origin]\n{wrong}\n"), &[]).expect_err(wrong);
        assert!(refused.contains("h.toml:2") && refused.contains(said), "{wrong}: {refused}");
    }
}

#[test]
fn settings_arrive_where_they_belong() {
    let text = r#"
        [store]
        url = "file:///srv/store"
        [origin]
        listen = ["0.0.0.0:80", "[::]:80"]
        access_log = "/var/log/headwater.jsonl"
        [origin.cache]
        responses_mib = 1024
        [profiles.vod]
        segment_ms = 4000
        [profiles.paid]
        titles = []
        access_classes = ["paid"]
        [encoder]
        preset = "medium"
        [[encoder.ladder]]
        height = 540
        max_bitrate_kbps = 2000
        crf = 21
    "#;
    let config =
        load(text, &[("HEADWATER_ORIGIN__CACHE__RESPONSES_MIB", "64")]).expect("a good file");
    assert_eq!(config.store.url, StoreUrl::File(PathBuf::from("/srv/store")));
    assert_eq!(config.origin.listen.len(), 2);
    assert_eq!(
        config.origin.access_log,
        AccessLog::File(PathBuf::from("/var/log/headwater.jsonl"))
    );
    assert_eq!(config.origin.cache.responses_mib, 64, "the variable wins");
    assert_eq!(config.origin.cache.titles_mib, 64, "the default stays");
    assert_eq!(config.profiles.len(), 2);
    assert_eq!(config.profiles["vod"].segment_ms, 4000);
    assert!(config.profiles["paid"].admits("any", Some("paid")));
    assert_eq!(config.encoder.preset, Preset::Medium);
    assert_eq!(config.encoder.ladder.len(), 1, "a ladder is replaced, not added to");
}

#[test]
fn protection_and_its_keys() {
    let text = r#"
        [profiles.vip.protection]
        scheme = "cbcs"
        keys = "main"
        systems = ["widevine", "fairplay"]
        [keys.main]
        master = "file:/run/secrets/master"
        [keys.spare]
        provider = "cpix"
        url = "https://keys.example/v2"
        header_secrets = [{ name = "Authorization", secret = "env:SPEKE" }]
    "#;
    let env = [
        ("HEADWATER_KEYS__SPARE__TIMEOUT_MS", "500"),
        ("HEADWATER_PROFILES__VIP__PROTECTION__KEY_DOMAIN", "films"),
    ];
    let config = load(text, &env).expect("a good file");
    let protection = &config.profiles["vip"].protection;
    assert_eq!((protection.scheme, protection.systems[1]), (Scheme::Cbcs, System::Fairplay));
    assert_eq!(protection.domain(&"vip".parse().expect("a name")).as_str(), "films");
    let spare = &config.keys["spare"];
    assert_eq!((spare.provider, spare.timeout_ms, spare.retries), (ProviderKind::Cpix, 500, 2));
    assert_eq!(spare.header_secrets[0].name.as_str(), "authorization");
    assert_eq!(config.keys["main"].url, None);
    for (wrong, said) in [
        ("[profiles.p.protection]\nsheme = \"cbcs\"", "did you mean `scheme`?"),
        ("[profiles.p.protection]\nscheme = \"aes\"", "cbcs"),
        ("[profiles.p.protection]\nsystems = [\"verimatrix\"]", "widevine"),
        ("[profiles.p.protection]\nkeys = \"K\"", "is no name"),
        ("[profiles.p.protection]\nwidevine_la_url = \"keys\"", "https://host/path"),
        ("[keys.k]\nmastre = \"env:A\"", "did you mean `master`?"),
        ("[keys.k]\nmaster = \"0011\"", "file:/absolute/path"),
        ("[keys.k]\ntimeout_ms = 99", "100 to 60000"),
        ("[keys.K]\ntimeout_ms = 100", "is no name"),
        ("[keys]\nmaster = \"env:A\"", "takes a table"),
    ] {
        let refused = load(&format!("{wrong}\n"), &[]).expect_err(wrong);
        assert!(refused.contains("h.toml:") && refused.contains(said), "{wrong}: {refused}");
    }
}

#[test]
fn variables_go_over_the_file() {
    let env = [
        ("HEADWATER_STORE__URL", "/srv/2024"),
        ("HEADWATER_ORIGIN__LISTEN", r#"["0.0.0.0:80"]"#),
        ("HEADWATER_ORIGIN__LOG_LEVEL", "debug"),
        ("HEADWATER_PROFILES__CLEAR", "{ segment_ms = 4000 }"),
        ("HEADWATER_PROFILES__CLEAR__MANIFEST_STALE_S", "5"),
        ("HEADWATER_ENCODER__LADDER", "[{height = 240, max_bitrate_kbps = 300, crf = 30}]"),
        ("HEADWATER_CONFIG", "not a key"),
        ("HEADWATER_TEST_ANYTHING", "not a key"),
        ("HEADWATER_PORT", "tcp://10.0.0.1:80"),
        ("PATH", "/bin"),
    ];
    let config =
        load("[[encoder.ladder]]\nheight = 480\nmax_bitrate_kbps = 1000\ncrf = 20\n", &env)
            .expect("good variables");
    assert_eq!(config.store.url, StoreUrl::File(PathBuf::from("/srv/2024")));
    assert_eq!(config.origin.listen[0].port(), 80);
    assert_eq!(config.origin.log_level.as_str(), "debug");
    assert_eq!(config.profiles["clear"].segment_ms, 4000);
    assert_eq!(config.profiles["clear"].manifest_stale_s, 5);
    assert_eq!(config.encoder.ladder.len(), 1);
    assert_eq!(config.encoder.ladder[0].height, 240);
}

#[test]
fn what_is_said_of_a_wrong_file() {
    let table = [
        (
            "[origin.cache]\n\nresponse_mib = 1\n",
            "h.toml:3: unknown key `origin.cache.response_mib`, did you mean `responses_mib`?",
        ),
        ("[orign]\n", "h.toml:1: unknown key `orign`, did you mean `origin`?"),
        (
            "[profiles.vip]\nsegments_ms = 4000\n",
            "h.toml:2: unknown key `profiles.vip.segments_ms`, did you mean `segment_ms`?",
        ),
        (
            "[origin]\nsegment_ms = 4000\n",
            "h.toml:2: unknown key `origin.segment_ms`, did you mean `profiles.*.segment_ms`?",
        ),
        (
            "[store]\nendpoint = \"x\"\n",
            "h.toml:2: unknown key `store.endpoint`, did you mean `store.s3.endpoint`?",
        ),
        (
            "[[encoder.ladder]]\nheight = 480\nmax_bitrate_kbps = 900\ncrff = 23\n",
            "h.toml:4: unknown key `encoder.ladder[0].crff`, did you mean `crf`?",
        ),
        (
            "origin.cache = { titles_mib = \"64\" }\n",
            "h.toml:1: `origin.cache.titles_mib` takes a whole number, got a text (\"...\")",
        ),
        ("[origin]\npage = 1\n", "h.toml:2: `origin.page` takes true or false, got a whole number"),
        (
            "[origin]\nlisten = \"127.0.0.1:80\"\n",
            "h.toml:2: `origin.listen` takes a list ([\"...\", \"...\"]), got a text (\"...\")",
        ),
        (
            "[profiles.a]\ntitles = [\n  \"*\",\n  7]\n",
            "h.toml:4: `profiles.a.titles[1]` takes a text (\"...\"), got a whole number",
        ),
        (
            "[profiles.a]\nsegment_ms = 999\n",
            "h.toml:2: `profiles.a.segment_ms` is 999, allowed: 1000 to 60000",
        ),
        (
            "[origin.cache]\nresponses_mib = -1\n",
            "h.toml:2: `origin.cache.responses_mib` is -1, allowed: 0 to 1048576",
        ),
        (
            "[[encoder.ladder]]\nheight = 480\nmax_bitrate_kbps = 900\ncrf = 52\n",
            "h.toml:4: `encoder.ladder[0].crf` is 52, allowed: 1 to 51",
        ),
        ("[encoder]\nladder = []\n", "h.toml:2: `encoder.ladder` has 0 entries, allowed: 1 to 16"),
        (
            "[profiles.a]\nformats = [\"hls\", \"smooth\"]\n",
            "h.toml:2: `profiles.a.formats[1]`: unknown variant `smooth`, expected `hls` or `dash`",
        ),
        (
            "\n[store]\nurl = \"s3://Bucket\"\n",
            "h.toml:3: `store.url`: `Bucket` is no bucket: 3 to 63 of a-z, 0-9, - and ., with a letter or digit at both ends; an S3 store is `s3://bucket` or `s3://bucket/prefix`",
        ),
        (
            "[store.s3]\nendpoint = \"https://key:word@host\"\n",
            "h.toml:2: `store.s3.endpoint`: write `https://host`, `http://host:port`, or nothing for AWS; a bucket belongs into `store.url`, credentials into the environment",
        ),
        (
            "[store.s3]\nmax_attempts = 0\n",
            "h.toml:2: `store.s3.max_attempts` is 0, allowed: 1 to 10",
        ),
        (
            "[origin]\nadmin_listen = \"9090\"\n",
            "h.toml:2: `origin.admin_listen`: invalid socket address syntax",
        ),
        (
            "[profiles.Clear]\n",
            "h.toml:1: `profiles.Clear`: `Clear` is no name: 1 to 32 of a-z, 0-9 and -",
        ),
        (
            "[[encoder.ladder]]\nheight = 480\ncrf = 20\n",
            "h.toml:1: `encoder.ladder[0]`: missing field `max_bitrate_kbps`",
        ),
        ("[store]\nurl = \"/a\"\nurl = \"/b\"\n", "h.toml:3: not TOML: duplicate key"),
    ];
    for (text, wanted) in table {
        assert_eq!(load(text, &[]), Err(wanted.to_owned()), "{text}");
    }
}

#[test]
fn what_is_said_of_a_wrong_variable() {
    let table = [
        (
            ("HEADWATER_ORIGIN__CACHE__RESPONSE_MIB", "1"),
            "variable HEADWATER_ORIGIN__CACHE__RESPONSE_MIB: unknown key `origin.cache.response_mib`, did you mean HEADWATER_ORIGIN__CACHE__RESPONSES_MIB?",
        ),
        (
            ("HEADWATER_ORIGIN_LISTEN", "1"),
            "variable HEADWATER_ORIGIN_LISTEN: unknown key `origin_listen`, did you mean HEADWATER_ORIGIN__LISTEN?",
        ),
        (
            ("HEADWATER_ORIGIN__CACHE__RESPONSES_MIB", "much"),
            "variable HEADWATER_ORIGIN__CACHE__RESPONSES_MIB: `origin.cache.responses_mib` takes a whole number, got a text (\"...\")",
        ),
        (
            ("HEADWATER_PROFILES__VIP__SEGMENT_MS", "10"),
            "variable HEADWATER_PROFILES__VIP__SEGMENT_MS: `profiles.vip.segment_ms` is 10, allowed: 1000 to 60000",
        ),
        (
            ("HEADWATER_STORE__URL__HOST", "x"),
            "variable HEADWATER_STORE__URL__HOST: unknown key `store.url.host`; every key is in headwater.example.toml",
        ),
        (
            ("HEADWATER_ENCODER__LADDER", "[{height = 480, max_bitrate_kbps = 900, crf = 99}]"),
            "variable HEADWATER_ENCODER__LADDER: `encoder.ladder[0].crf` is 99, allowed: 1 to 51",
        ),
        (
            ("HEADWATER_ENCODER__PRESET", "placebo"),
            "variable HEADWATER_ENCODER__PRESET: `encoder.preset`: unknown variant `placebo`, expected one of `ultrafast`, `superfast`, `veryfast`, `faster`, `fast`, `medium`, `slow`, `slower`, `veryslow`",
        ),
    ];
    for (variable, wanted) in table {
        let file = "[store]\nurl = \"/srv\"\n[[encoder.ladder]]\nheight = 480\nmax_bitrate_kbps = 900\ncrf = 20\n";
        assert_eq!(load(file, &[variable]), Err(wanted.to_owned()), "{variable:?}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let path = PathBuf::from("/nowhere/h.toml");
    let error = Config::load(Some(&path), variables(&[])).expect_err("there is no such file");
    assert_eq!(error.place, Place::File { path, line: 0 });
    assert!(error.to_string().starts_with("/nowhere/h.toml: cannot be read: No such file"));
}
