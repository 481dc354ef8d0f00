//! A title on a server, an origin over it, and what it must serve.

use std::collections::BTreeMap;

use headwater_packager::protect::Form;
use headwater_packager::timeline::Timeline;
use headwater_tests::origin::{self, Origin, Settings};
use headwater_tests::s3::{self, Server};
use headwater_tests::s3_proxy::{Asked, Proxy};
use headwater_tests::titles::{Rate, Title};
use headwater_tests::web::Web;

/// Milliseconds of a segment in these tests: one fragment each.
pub const SEGMENT_MS: u32 = 2000;

/// Short time limits, so that a test of them is short.
pub const HASTY: &str = "connect_timeout_ms = 500\nattempt_timeout_ms = 500\n\
     stall_timeout_ms = 1000\noperation_timeout_ms = 2000\nmax_attempts = 2";

/// A server, a proxy before it, and the title that the server holds.
pub struct Bench {
    pub title: &'static Title,
    pub server: Server,
    pub proxy: Proxy,
}

impl Bench {
    pub fn new() -> Self {
        let title = Rate::Pal.title();
        let server = Server::with(title);
        let proxy = Proxy::start(server.address());
        Self { title, server, proxy }
    }

    /// An origin that reads through the proxy; `more` goes into `[store.s3]`.
    pub fn origin(&self, more: &str, responses_mib: u32, more_toml: &str) -> Origin {
        let settings = Settings { segment_ms: SEGMENT_MS, responses_mib };
        let store = s3::settings(self.proxy.address(), more);
        let toml = origin::toml(&store, &settings) + more_toml;
        Origin::launch(&toml, &s3::env())
    }

    /// Paths of every resource of the live version, bound to it, and what a folder's origin
    /// answers.
    pub fn wanted(&self) -> Wanted {
        let settings = Settings { segment_ms: SEGMENT_MS, responses_mib: 64 };
        let origin = Origin::with(&self.title.store, &settings);
        Wanted::read(self.title, origin.web())
    }
}

/// Right bodies by path.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub manifests: BTreeMap<String, Vec<u8>>,
    pub segments: BTreeMap<String, Vec<u8>>,
}

impl Wanted {
    fn read(title: &Title, web: &Web) -> Self {
        let master = web.text(&title.master());
        let bound = master.lines().find(|line| line.ends_with("/index.m3u8")).expect("a rendition");
        let folder = bound.split('/').next().expect("bound to a version");
        let base = format!("/clear/{}/{folder}", title.id);
        let timeline = Timeline::new(&title.heads, SEGMENT_MS, Form::Clear);
        let mut manifests = vec![title.master(), title.mpd(), format!("{base}/manifest.mpd")];
        let mut segments = Vec::new();
        for track in title.heads.tracks() {
            let id = track.id();
            manifests.extend(["index.m3u8", "init.mp4"].map(|name| format!("{base}/{id}/{name}")));
            let numbers = (1..).take_while(|&n| timeline.segment(track, n).is_some());
            segments.extend(numbers.map(|n| format!("{base}/{id}/{n}.m4s")));
        }
        let read =
            |paths: Vec<String>| paths.into_iter().map(|p| (p.clone(), web.body(&p))).collect();
        Self { manifests: read(manifests), segments: read(segments) }
    }

    pub fn all(&self) -> BTreeMap<String, Vec<u8>> {
        self.manifests.clone().into_iter().chain(self.segments.clone()).collect()
    }
}

/// Whether a request is for an object of this name.
pub fn names(asked: &Asked, name: &str) -> bool {
    asked.target.split('?').next().is_some_and(|path| path.ends_with(&format!("/{name}")))
}
