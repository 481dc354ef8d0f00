//! Segments that are encrypted whole, at once and one by one.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::BytesMut;
use futures_util::poll;
use headwater_origin::chains::Chains;
use headwater_origin::service::Service;
use headwater_packager::encrypt::ContentKey;
use headwater_packager::ids::KeyId;
use headwater_packager::protect::{Protector, Scheme};
use headwater_packager::stored::heads_key;
use headwater_packager::title::Title;
use http::Method;

use crate::common::{Origin, SEGMENTS, Stored, VERSION, request, title_id};

const TITLES: [&str; 3] = ["one", "two", "three"];

/// A service whose response cache keeps nothing of `aes-128`.
fn service(stored: &Stored) -> Arc<Service> {
    let master = stored.path("master");
    std::fs::write(&master, "5e".repeat(32)).unwrap();
    let config = stored.config(&format!(
        "origin.cache.responses_mib = 0\n\
         [keys.main]\nprovider = \"derived\"\nmaster = \"file:{}\"\n\
         [profiles.whole]\nformats = [\"hls\"]\n\
         [profiles.whole.protection]\nscheme = \"aes-128\"\nkeys = \"main\"\ndeliver_keys = true\n",
        master.display()
    ));
    Origin::new(&config).rooms.service
}

fn titles() -> Stored {
    let stored = Stored::with_movie();
    for title in TITLES {
        stored.publish_sound(title, VERSION);
    }
    stored
}

async fn body(service: &Service, path: &str) -> Vec<u8> {
    let request = request(Method::GET, path, &[]);
    let answer = service.answer(&request, Instant::now(), SystemTime::now()).await;
    assert_eq!(answer.status.as_u16(), 200, "{path}");
    answer.body.parts().concat()
}

/// Every segment of every title: each title has its own key.
async fn paths(service: &Service) -> Vec<String> {
    let mut paths = Vec::new();
    for title in TITLES {
        let master = body(service, &format!("/whole/{title}/master.m3u8")).await;
        let master = String::from_utf8(master).unwrap();
        let playlist = master.lines().find(|line| line.ends_with("/index.m3u8")).unwrap();
        let folder = playlist.trim_end_matches("index.m3u8");
        paths.extend((1..=SEGMENTS).map(|n| format!("/whole/{title}/{folder}{n}.m4s")));
    }
    paths
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_at_once_are_what_each_is_alone() {
    let stored = titles();
    let service = service(&stored);
    let paths = paths(&service).await;
    let mut alone = Vec::new();
    for path in &paths {
        alone.push(body(&service, path).await);
    }
    for _ in 0..20 {
        let ask = |path: &String| {
            let (service, path) = (Arc::clone(&service), path.clone());
            tokio::spawn(async move { body(&service, &path).await })
        };
        let at_once: Vec<_> = paths.iter().map(ask).collect();
        for ((ask, path), alone) in at_once.into_iter().zip(&paths).zip(&alone) {
            assert!(ask.await.unwrap() == *alone, "{path}");
        }
    }
}

#[tokio::test]
async fn who_leaves_takes_his_segment_along() {
    let stored = titles();
    let heads = stored.read(&heads_key(&title_id("one"), VERSION)).into();
    let title = Title::open(&heads).unwrap();
    let (scheme, key, track) = (Scheme::Aes128, ContentKey::new([7; 16]), &title.tracks()[0]);
    let by = Arc::new(Protector::new(scheme, &key, KeyId([1; 16]), VERSION, track).unwrap());
    let chains = Chains::default();
    let clear = || BytesMut::from(&[9; 100][..]);
    let mut stays = Box::pin(chains.encrypt(&by, 2, clear()));
    let mut leaves = Box::pin(chains.encrypt(&by, 1, clear()));
    assert!(poll!(&mut leaves).is_pending() && poll!(&mut stays).is_pending());
    assert_eq!(format!("{chains:?}"), "Chains(2 waiting)");
    drop(leaves);
    assert_eq!(format!("{chains:?}"), "Chains(1 waiting)");
    let made = stays.await.unwrap().freeze();
    assert_eq!(vec![made], by.segment(track, 2, 0, clear()).unwrap());
    assert_eq!(format!("{chains:?}"), "Chains(0 waiting)");
}
