//! Upgrades and reloads under load: every body is compared, and no request fails.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use headwater_tests::load::{LoadClient, Speaks, believing};
use headwater_tests::titles::{Rate, Title};
use headwater_tests::web::follow;
use headwater_tests::{measured, scratch, skip};
use rustls::ClientConfig;

use crate::process::Origin;

/// Clients of each kind.
const CLIENTS: usize = 3;

#[test]
fn upgrades_and_reloads_fail_no_request_of_5000() {
    under_load(5_000, 2);
}

#[test]
fn upgrades_and_reloads_fail_no_request_of_100000() {
    if skip::is_long("100,000 requests under upgrades and reloads") {
        under_load(100_000, 10);
    }
}

/// At least `requests`, and until `upgrades` of them and twice as many reloads are done.
fn under_load(requests: usize, upgrades: usize) {
    let title = Rate::Film.title();
    let folder = scratch::folder();
    let (first, second) = (certificate(), certificate());
    let tls = believing(&[first.cert.clone(), second.cert.clone()]);
    show(folder.path(), &first);
    let at = folder.path().to_owned();
    let toml = move |plain, tls| settings(title, &at, plain, tls);
    let mut origin = Origin::start(folder, toml);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.unwrap();
    let wanted = Arc::new(runtime.block_on(wanted(title, origin.plain, &tls)));
    let tally = Arc::new(Tally::default());
    let started = Instant::now();
    let clients: Vec<_> = Speaks::ALL
        .into_iter()
        .flat_map(|speaks| [speaks; CLIENTS])
        .enumerate()
        .map(|(n, speaks)| {
            let address = if speaks.is_tls() { origin.tls } else { origin.plain };
            let client = LoadClient::new(speaks, address, &tls);
            runtime.spawn(ask(client, n, Arc::clone(&wanted), Arc::clone(&tally)))
        })
        .collect();
    let config = fs::read_to_string(origin.config()).unwrap();
    for n in 0..upgrades {
        // Evenly over the requests, however fast they are answered.
        tally.wait_for(requests * (2 * n + 1) / (2 * upgrades + 1));
        let good = config.replace("idle_timeout_s = 75", &format!("idle_timeout_s = {}", 60 + n));
        fs::write(origin.config(), good).unwrap();
        show(origin.config().parent().unwrap(), if n % 2 == 0 { &second } else { &first });
        origin.reload("origin.limits.idle_timeout_s: ");
        fs::write(origin.config(), "[origin\n").unwrap();
        origin.reload("configuration refused: everything is as before");
        fs::write(origin.config(), &config).unwrap();
        tally.wait_for(requests * (2 * n + 2) / (2 * upgrades + 1));
        origin.upgrade();
    }
    tally.wait_for(requests);
    tally.over.store(1, Ordering::Relaxed);
    let (mut connections, mut overtaken) = (BTreeMap::new(), 0);
    for client in clients {
        let (client, asked) = runtime.block_on(client).unwrap();
        let sum: &mut (usize, usize) = connections.entry(client.speaks()).or_default();
        *sum = (sum.0 + asked, sum.1 + client.connections);
        overtaken += client.overtaken;
    }
    let failed = tally.failed.lock().unwrap();
    // At most one for each connection that ends so.
    assert!(overtaken <= 2 * CLIENTS * upgrades, "{overtaken} were overtaken by GOAWAY");
    let asked = tally.asked.load(Ordering::Relaxed);
    measured(format_args!(
        "upgrade and reload under load: {} of {asked} requests failed over {upgrades} \
         upgrades and {} reloads in {:.1} s; {overtaken} of HTTP/2 were overtaken by GOAWAY and \
         sent again; requests and connections: {connections:?}",
        failed.len(),
        2 * upgrades,
        started.elapsed().as_secs_f64()
    ));
    assert!(failed.is_empty(), "{:#?}\n{}", &failed[..failed.len().min(10)], origin.log());
    let log = origin.log();
    assert_eq!(log.matches("\"handed over: running responses may end\"").count(), upgrades);
    assert!(!log.contains("these were cut off") && !log.contains("panicked"), "{log}");
    for (speaks, (asked, opened)) in connections {
        assert!(asked > requests / 50, "{speaks:?} took no part");
        // Each of a kind had to change its connection with each upgrade.
        assert!(opened >= CLIENTS * upgrades || speaks == Speaks::Fresh, "{speaks:?}: {opened}");
    }
}

#[derive(Default)]
struct Tally {
    asked: AtomicUsize,
    over: AtomicUsize,
    failed: std::sync::Mutex<Vec<String>>,
}

impl Tally {
    fn wait_for(&self, asked: usize) {
        let deadline = Instant::now() + Duration::from_secs(3600);
        while self.asked.load(Ordering::Relaxed) < asked {
            assert!(Instant::now() < deadline, "clients got stuck");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

pub type Bodies = Vec<(String, Vec<u8>)>;

async fn ask(
    mut client: LoadClient,
    mut n: usize,
    wanted: Arc<Bodies>,
    tally: Arc<Tally>,
) -> (LoadClient, usize) {
    let mut asked = 0;
    while tally.over.load(Ordering::Relaxed) == 0 {
        let (path, body) = &wanted[n % wanted.len()];
        n += 1;
        let got = tokio::time::timeout(Duration::from_secs(60), client.get(path)).await;
        let fault = match got {
            Ok(Ok((200, got))) if got == *body => None,
            Ok(Ok((200, got))) => Some(format!("wrong body, {} bytes", got.len())),
            Ok(Ok((status, _))) => Some(format!("status {status}")),
            Ok(Err(error)) => Some(error),
            Err(_) => Some("no answer within 60 s".to_owned()),
        };
        if let Some(fault) = fault {
            let fault = format!("{:?} {path}: {fault}", client.speaks());
            tally.failed.lock().unwrap().push(fault);
        }
        asked += 1;
        tally.asked.fetch_add(1, Ordering::Relaxed);
    }
    (client, asked)
}

/// Manifests, playlists, inits and every segment of the title, as they are before anything happens.
pub async fn wanted(title: &Title, plain: SocketAddr, tls: &Arc<ClientConfig>) -> Bodies {
    let mut client = LoadClient::new(Speaks::Kept, plain, tls);
    let mut bodies = Bodies::new();
    let mut paths = vec![title.master(), title.mpd()];
    while let Some(path) = paths.pop() {
        let (status, body) = client.get(&path).await.unwrap();
        assert_eq!(status, 200, "{path}");
        if path.ends_with(".m3u8") {
            let text = std::str::from_utf8(&body).unwrap();
            let uris = text.lines().filter_map(|line| match line.split_once("URI=\"") {
                Some((_, uri)) => uri.split('"').next(),
                None => (!line.is_empty() && !line.starts_with('#')).then_some(line),
            });
            let more: Vec<_> = uris.map(|uri| follow(&path, uri)).collect();
            let is_new = |path: &String| !bodies.iter().any(|(known, _)| known == path);
            let more = more.into_iter().filter(is_new).filter(|path| !paths.contains(path));
            paths.extend(more.collect::<Vec<_>>());
        }
        if !bodies.iter().any(|(known, _)| *known == path) {
            bodies.push((path, body.to_vec()));
        }
    }
    assert!(bodies.iter().filter(|(path, _)| path.ends_with(".m4s")).count() > 3);
    bodies
}

fn certificate() -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap()
}

fn show(folder: &Path, shown: &rcgen::CertifiedKey<rcgen::KeyPair>) {
    fs::write(folder.join("cert.pem"), shown.cert.pem()).unwrap();
    fs::write(folder.join("key.pem"), shown.signing_key.serialize_pem()).unwrap();
}

fn settings(title: &Title, folder: &Path, plain: SocketAddr, tls: SocketAddr) -> String {
    let (store, folder) = (title.store.display(), folder.display());
    format!(
        r#"[store]
url = "file://{store}"
[origin]
listen = ["{plain}"]
workers = 2
grace_s = 60
access_log = "off"
[origin.limits]
idle_timeout_s = 75
[origin.tls]
listen = ["{tls}"]
certificates_look_s = 0
certificates = [{{ cert = "{folder}/cert.pem", key = "{folder}/key.pem" }}]
[profiles.clear]
segment_ms = 2000
"#
    )
}
