//! Requests at a rate that waits for nobody (open loop), or as fast as so many clients get their
//! answers (closed loop).
//!
//! In an open loop a time begins when the request was due, not when it could be sent: a server
//! that makes others wait is charged for it. What is late by no more than the timer's own step is
//! charged from when it was sent.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::arrivals::{Arrivals, Spacing};
use crate::chance::Chance;
use crate::client::{Ask, Keep, Link, Network, Shared, Version};
use crate::failure::Failure;
use crate::feed::Feed;
use crate::live::Live;
use crate::tally::Delivery;

/// What tokio's timer may be late by itself.
const TIMER_STEP: Duration = Duration::from_millis(2);

/// A client of a closed loop rests so long after a failure.
const AFTER_FAILURE: Duration = Duration::from_millis(10);

/// A request with what its answer must be.
#[derive(Clone, Debug)]
pub struct Target {
    /// What its body is known by.
    pub key: String,
    /// The request.
    pub ask: Ask,
    /// The status of a good answer.
    pub wanted_status: u16,
}

/// How requests come.
#[derive(Clone, Copy, Debug)]
pub enum Mode {
    /// So many clients, each with one request on its way; of HTTP/2 so many on each connection.
    Closed {
        /// Connections.
        connections: usize,
        /// Requests on their way on each.
        streams: usize,
    },
    /// So many a second. HTTP/1.1 opens connections as it needs them; HTTP/2 shares `connections`.
    Open {
        /// Requests a second.
        per_s: f64,
        /// How they lie.
        spacing: Spacing,
        /// Beyond so many on their way, further ones are counted as not sent.
        max_in_flight: usize,
        /// Connections of HTTP/2.
        connections: usize,
    },
}

/// Asks until the feed ends and all is answered; the time that took.
pub async fn run(
    network: &Rc<Network>,
    targets: &Rc<[Target]>,
    mode: Mode,
    feed: Feed,
    chance: Chance,
    live: &Rc<Live>,
) -> Duration {
    let asking = Asking {
        network: Rc::clone(network),
        targets: Rc::clone(targets),
        feed: Rc::new(RefCell::new(feed)),
        live: Rc::clone(live),
    };
    match mode {
        Mode::Closed { connections, streams } => closed(&asking, connections, streams).await,
        Mode::Open { per_s, spacing, max_in_flight, connections } => {
            let arrivals = Arrivals::new(spacing, per_s, chance);
            open(&asking, arrivals, max_in_flight, connections).await;
        }
    }
    live.now()
}

#[derive(Clone)]
struct Asking {
    network: Rc<Network>,
    targets: Rc<[Target]>,
    feed: Rc<RefCell<Feed>>,
    live: Rc<Live>,
}

async fn closed(asking: &Asking, connections: usize, streams: usize) {
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        let shared = Shared::default();
        let of_it = if asking.network.version == Version::H2 { streams } else { 1 };
        for _ in 0..of_it {
            let (asking, mut link) = (asking.clone(), asking.link(&shared));
            clients.spawn_local(async move {
                while let Some(target) = asking.next() {
                    if !asking.ask(&mut link, target, Instant::now()).await {
                        // Or a server that is not there would be asked as fast as we can count.
                        tokio::time::sleep(AFTER_FAILURE).await;
                    }
                }
            });
        }
    }
    while clients.join_next().await.is_some() {}
}

async fn open(asking: &Asking, arrivals: Arrivals, max_in_flight: usize, connections: usize) {
    let shared: Vec<_> = (0..connections.max(1)).map(|_| Shared::default()).collect();
    let idle = Rc::new(RefCell::new(VecDeque::new()));
    let mut requests = JoinSet::new();
    for (n, arrival) in arrivals.enumerate() {
        let due = asking.live.started + arrival;
        // The feed ends by the time of arrivals, so that a run has as many as its seed says.
        let Some(target) = asking.feed.borrow_mut().next(arrival) else { break };
        tokio::time::sleep_until(due.into()).await;
        while requests.try_join_next().is_some() {}
        if requests.len() >= max_in_flight {
            let mut tally = asking.live.tally.borrow_mut();
            let key = &asking.targets[target].key;
            tally.fail(asking.live.now(), Failure::NotSent, || {
                format!("{key}: {max_in_flight} were on their way")
            });
            continue;
        }
        let known: Option<Link> = idle.borrow_mut().pop_back();
        let mut link = known.unwrap_or_else(|| asking.link(&shared[n % shared.len()]));
        let (asking, idle) = (asking.clone(), Rc::clone(&idle));
        requests.spawn_local(async move {
            let now = Instant::now();
            let due = if now.duration_since(due) <= TIMER_STEP { now } else { due };
            asking.ask(&mut link, target, due).await;
            // A link of HTTP/2 is only a share in its connection: new ones spread over all.
            if asking.network.version == Version::H1 {
                idle.borrow_mut().push_back(link);
            }
        });
    }
    while requests.join_next().await.is_some() {}
}

impl Asking {
    fn link(&self, shared: &Shared) -> Link {
        match self.network.version {
            Version::H1 => Link::own(&self.network),
            Version::H2 => Link::sharing(&self.network, shared),
        }
    }

    fn next(&self) -> Option<usize> {
        self.feed.borrow_mut().next(self.live.now())
    }

    async fn ask(&self, link: &mut Link, target: usize, due: Instant) -> bool {
        let live = &self.live;
        let target = &self.targets[target];
        live.active.set(live.active.get() + 1);
        let reply = link.get(&target.ask, Keep::Sum, None).await;
        live.active.set(live.active.get().saturating_sub(1));
        live.tally.borrow_mut().count(Delivery {
            key: &target.key,
            wanted_status: target.wanted_status,
            ttfb: reply.first_byte.saturating_duration_since(due),
            time: reply.end.saturating_duration_since(due),
            at: reply.end.saturating_duration_since(live.started),
            result: reply.result.map(|answer| (answer.status, answer.sum)),
        })
    }
}
