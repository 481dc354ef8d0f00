//! One player on the network: does what [`Player`] says, and tells it what came.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

use crate::address;
use crate::client::{Answer, Ask, Keep, Link, Network, Reply};
use crate::discover::read_manifest;
use crate::failure::Failure;
use crate::latency::Latency;
use crate::limits::MAX_REDIRECTS;
use crate::live::Live;
use crate::manifest::{Kind, Piece, Presentation, Protocol, Segments, Timeline, hls};
use crate::tally::Delivery;
use crate::viewer::buffer::Wait;
use crate::viewer::cmcd::{Cmcd, Object};
use crate::viewer::crowd::Crowd;
use crate::viewer::player::{Leave, Player, Step};
use crate::viewer::visit::Visit;

/// What all players share.
#[derive(Debug)]
pub struct Hall {
    network: Rc<Network>,
    live: Rc<Live>,
    titles: Vec<Url>,
    tokens: Vec<String>,
    cmcd: bool,
    /// When the run ends and everybody leaves.
    end: Duration,
    crowd: RefCell<Crowd>,
    segments: RefCell<Latency>,
    abandoned: Cell<u64>,
    redirects: Cell<u64>,
    /// What manifests say, read once for each URL: only one body of each is good.
    presentations: RefCell<HashMap<Url, Arc<Presentation>>>,
    timelines: RefCell<HashMap<Url, Arc<Timeline>>>,
}

impl Hall {
    /// An empty one.
    pub fn new(
        network: &Rc<Network>,
        live: &Rc<Live>,
        titles: Vec<Url>,
        tokens: Vec<String>,
        cmcd: bool,
        end: Duration,
    ) -> Self {
        Self {
            network: Rc::clone(network),
            live: Rc::clone(live),
            titles,
            tokens,
            cmcd,
            end,
            crowd: RefCell::default(),
            segments: RefCell::default(),
            abandoned: Cell::new(0),
            redirects: Cell::new(0),
            presentations: RefCell::default(),
            timelines: RefCell::default(),
        }
    }

    /// What came of everybody: the crowd, segments' times, abandoned requests, redirects.
    pub fn finish(&self) -> (Crowd, Latency, u64, u64) {
        (self.crowd.take(), self.segments.take(), self.abandoned.get(), self.redirects.get())
    }
}

/// A player with its connection.
pub struct Seat {
    hall: Rc<Hall>,
    link: Link,
    player: Player,
    manifest: Url,
    protocol: Protocol,
    token: Option<String>,
}

/// A good answer to something, and where it was in the end.
struct Got {
    url: Url,
    answer: Answer,
    took: Duration,
}

impl Seat {
    /// The `n`th viewer takes one.
    pub fn take(hall: &Rc<Hall>, visit: Visit, n: u64) -> Self {
        let (mut token, manifest) = address::split_token(&hall.titles[visit.title]);
        if let Some(count) = u64::try_from(hall.tokens.len()).ok().filter(|count| *count > 0) {
            let turn = usize::try_from(n % count).unwrap_or(0);
            token = hall.tokens.get(turn).cloned();
        }
        let protocol = Protocol::of(&manifest).unwrap_or(Protocol::Hls);
        let player = Player::join(visit, hall.live.now());
        Self {
            link: Link::own(&hall.network),
            hall: Rc::clone(hall),
            player,
            manifest,
            protocol,
            token,
        }
    }

    /// Watches until the viewer leaves.
    pub async fn watch(mut self) {
        let hall = Rc::clone(&self.hall);
        let live = &hall.live;
        live.active.set(live.active.get() + 1);
        let why = loop {
            let now = live.now();
            if now >= hall.end {
                break Leave::Wanted;
            }
            match self.player.step(now) {
                Step::Leave(why) => break why,
                Step::Rest(until) => {
                    tokio::time::sleep_until((live.started + until.min(hall.end)).into()).await;
                }
                step => {
                    let leaves = self.player.leaves_at().map_or(hall.end, |at| at.min(hall.end));
                    let leaves = live.started + leaves;
                    if tokio::time::timeout_at(leaves.into(), self.fetch(step)).await.is_err() {
                        hall.abandoned.set(hall.abandoned.get() + 1);
                    }
                }
            }
        };
        live.active.set(live.active.get().saturating_sub(1));
        let switches = self.player.switches();
        hall.crowd.borrow_mut().count(why, self.player.leave(live.now()), switches);
    }

    async fn fetch(&mut self, step: Step) {
        let good = match step {
            Step::Manifest => self.fetch_manifest().await,
            Step::Playlist(track) => self.fetch_playlist(track).await,
            Step::Init(track, init) => self.fetch_init(track, init).await,
            Step::Segment(track, index) => self.fetch_segment(track, index).await,
            Step::Rest(_) | Step::Leave(_) => Some(()),
        };
        if good.is_none() {
            self.player.failed(self.hall.live.now());
        }
    }

    async fn fetch_manifest(&mut self) -> Option<()> {
        let piece = Piece { url: self.manifest.clone(), range: None };
        let got = self.get(&piece, Object::Manifest, None, Keep::Whole).await?;
        let known = self.hall.presentations.borrow().get(&got.url).cloned();
        let title = match known {
            Some(title) => title,
            None => {
                let title = Arc::new(self.read(read_manifest(&got.answer.body, &got.url))?);
                self.hall.presentations.borrow_mut().insert(got.url, Arc::clone(&title));
                title
            }
        };
        self.player.manifest(title);
        Some(())
    }

    async fn fetch_playlist(&mut self, track: usize) -> Option<()> {
        let title = Arc::clone(self.player.title()?);
        let Segments::Playlist(url) = &title.tracks.get(track)?.segments else { return None };
        let piece = Piece { url: url.clone(), range: None };
        let got = self.get(&piece, Object::Manifest, None, Keep::Whole).await?;
        let known = self.hall.timelines.borrow().get(&got.url).cloned();
        let timeline = match known {
            Some(timeline) => timeline,
            None => {
                let text = String::from_utf8_lossy(&got.answer.body);
                let timeline = Arc::new(self.read(hls::media(&text, &got.url))?);
                self.hall.timelines.borrow_mut().insert(got.url, Arc::clone(&timeline));
                timeline
            }
        };
        self.player.playlist(track, timeline);
        Some(())
    }

    async fn fetch_init(&mut self, track: usize, init: usize) -> Option<()> {
        let piece = self.player.timeline(track)?.inits.get(init)?.clone();
        self.get(&piece, Object::Init, None, Keep::Sum).await?;
        self.player.init(track, init);
        Some(())
    }

    async fn fetch_segment(&mut self, track: usize, index: usize) -> Option<()> {
        let piece = self.player.timeline(track)?.segments.get(index)?.piece.clone();
        let kind = self.player.title()?.tracks.get(track)?.kind;
        let got = self.get(&piece, Object::Media(kind), Some((track, index)), Keep::Sum).await?;
        self.hall.segments.borrow_mut().record(got.took);
        let now = self.hall.live.now();
        self.player.segment(now, track, index, got.answer.sum.len_bytes, got.took);
        Some(())
    }

    /// Counts what cannot be read as a failure.
    fn read<T>(&self, read: Result<T, String>) -> Option<T> {
        let live = &self.hall.live;
        read.map_err(|what| live.tally.borrow_mut().fail(live.now(), Failure::Manifest, || what))
            .ok()
    }

    /// Asks, follows redirects, counts; nothing if it failed. The URL that comes back bears no token.
    async fn get(
        &mut self,
        piece: &Piece,
        object: Object,
        segment: Option<(usize, usize)>,
        keep: Keep,
    ) -> Option<Got> {
        let hall = Rc::clone(&self.hall);
        let live = &hall.live;
        let wanted_status = if piece.range.is_some() { 206 } else { 200 };
        let fields = if hall.cmcd { self.cmcd(object, segment) } else { Vec::new() };
        let due = Instant::now();
        let mut piece = piece.clone();
        for _ in 0..=MAX_REDIRECTS {
            let key = key(&piece);
            let asked = Piece {
                url: address::with_token(&piece.url, self.token.as_deref()),
                range: piece.range.clone(),
            };
            let reply = match Ask::new(&hall.network, &asked, &fields).await {
                Ok(ask) => self.reply(&ask, keep).await,
                Err(what) => {
                    let now = Instant::now();
                    Reply { first_byte: now, end: now, result: Err((Failure::Connect, what)) }
                }
            };
            if let Ok(Answer {
                status: 301 | 302 | 303 | 307 | 308,
                location: Some(location),
                ..
            }) = &reply.result
            {
                hall.redirects.set(hall.redirects.get() + 1);
                let next = self.read(address::follow(&asked.url, location))?;
                // A token that is exchanged for another one goes on in relative URLs.
                (self.token, piece.url) = address::split_token(&next);
                continue;
            }
            let took = reply.end.saturating_duration_since(due);
            let good = live.tally.borrow_mut().count(Delivery {
                key: &key,
                wanted_status,
                ttfb: reply.first_byte.saturating_duration_since(due),
                time: took,
                at: reply.end.saturating_duration_since(live.started),
                result: match &reply.result {
                    Ok(answer) => Ok((answer.status, answer.sum)),
                    Err((kind, what)) => Err((*kind, what.clone())),
                },
            });
            return good.then_some(Got { url: piece.url, answer: reply.result.ok()?, took });
        }
        self.read(Err(format!("{}: more than {MAX_REDIRECTS} redirects", piece.url)))
    }

    /// An answer; while it lasts, a viewer whose buffer runs out is seen to stall.
    async fn reply(&mut self, ask: &Ask, keep: Keep) -> Reply {
        let hall = Rc::clone(&self.hall);
        let stall_in = match self.player.waits() {
            Some(Wait::Stall) => Some(Duration::ZERO),
            Some(_) => None,
            None => self.player.ahead(),
        };
        let line = self.player.visit().line_bytes_per_s;
        let answer = self.link.get(ask, keep, line);
        match stall_in {
            Some(after) => seen_to_stall(answer, after, &hall.live.stalled).await,
            None => answer.await,
        }
    }

    fn cmcd(
        &mut self,
        object: Object,
        segment: Option<(usize, usize)>,
    ) -> Vec<(&'static str, String)> {
        let starved = self.player.take_starved();
        let player = &self.player;
        let track = segment.and_then(|(track, _)| player.title()?.tracks.get(track));
        let is_sound = matches!(object, Object::Media(Kind::Audio));
        let variant_bps =
            player.variant().map(|variant| variant.bandwidth_bps).filter(|bps| *bps > 0);
        let top_bps =
            player.title().and_then(|title| title.variants.last()).map(|top| top.bandwidth_bps);
        let timeline = segment.and_then(|(track, _)| player.timeline(track));
        let at = |index: usize| timeline.and_then(|timeline| timeline.segments.get(index));
        let this = segment.and_then(|(_, index)| at(index));
        let next = segment.and_then(|(_, index)| at(index + 1));
        let next =
            this.zip(next).and_then(|(this, next)| this.piece.url.make_relative(&next.piece.url));
        let cmcd = Cmcd {
            object,
            session: &player.visit().session,
            content: self.manifest.path(),
            protocol: self.protocol,
            bitrate_bps: track
                .and_then(|track| track.bandwidth_bps)
                .or(variant_bps.filter(|_| !is_sound)),
            top_bps: top_bps.filter(|bps| *bps > 0 && !is_sound),
            duration: this.map(|segment| segment.duration),
            ahead: player.ahead(),
            throughput_bps: player.throughput_bps(),
            next: next.as_deref(),
            urgent: player.waits().is_some(),
            starved,
        };
        cmcd.headers()
    }
}

/// What a piece's body is known by.
fn key(piece: &Piece) -> String {
    let key = address::key(&piece.url);
    match &piece.range {
        Some(range) => format!("{key}#{}-{}", range.start, range.end),
        None => key,
    }
}

/// Counts a viewer among the stalled from `after` until the answer is there.
async fn seen_to_stall<T>(
    answer: impl Future<Output = T>,
    after: Duration,
    stalled: &Cell<usize>,
) -> T {
    /// Takes the count back, also when the viewer leaves and this is dropped.
    struct Stalled<'a>(&'a Cell<usize>);
    impl Drop for Stalled<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get().saturating_sub(1));
        }
    }
    let mut answer = pin!(answer);
    if let Ok(answer) = tokio::time::timeout(after, &mut answer).await {
        return answer;
    }
    stalled.set(stalled.get() + 1);
    let _stalled = Stalled(stalled);
    answer.await
}
