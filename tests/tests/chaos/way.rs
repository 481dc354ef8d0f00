//! A process's own way to the bucket, on which its writes are torn, or it is stopped inside one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use headwater_tests::s3_proxy::{Asked, Fault, Kind, Proxy};
use rustix::process::{Pid, Signal, kill_process};

/// A way.
pub struct Way {
    proxy: Proxy,
    orders: Arc<Mutex<Orders>>,
}

/// What is to happen to the next write, and what has happened.
#[derive(Default)]
struct Orders {
    tears: bool,
    tears_part: bool,
    stops: Option<Stop>,
    torn: Torn,
    stopped_at: Option<String>,
}

/// Who is stopped, and at the write of which objects: those with this in their path.
struct Stop {
    process: Pid,
    at: String,
}

/// How many writes were cut off in their middle.
#[derive(Clone, Copy, Debug, Default)]
pub struct Torn {
    pub objects: usize,
    pub parts: usize,
}

impl Way {
    pub fn to(server: SocketAddr) -> Self {
        let (proxy, orders) = (Proxy::start(server), Arc::new(Mutex::new(Orders::default())));
        let shared = Arc::clone(&orders);
        proxy.inject(move |asked| lock(&shared).fault(asked));
        Self { proxy, orders }
    }

    pub fn address(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// The next object is cut off in its middle.
    pub fn tear(&self) {
        lock(&self.orders).tears = true;
    }

    /// The next part of an upload is.
    pub fn tear_part(&self) {
        lock(&self.orders).tears_part = true;
    }

    pub fn torn(&self) -> Torn {
        lock(&self.orders).torn
    }

    /// `process` is stopped inside its next write of an object with `at` in its path: the server has it,
    /// and the process has not heard so.
    pub fn stop(&self, process: Pid, at: &str) {
        let mut orders = lock(&self.orders);
        orders.stops = Some(Stop { process, at: at.to_owned() });
        orders.stopped_at = None;
    }

    /// It is not stopped any more.
    pub fn spare(&self) {
        lock(&self.orders).stops = None;
    }

    /// Where it was stopped.
    pub fn stopped_at(&self) -> Option<String> {
        lock(&self.orders).stopped_at.clone()
    }

    /// Nobody answers for a while.
    pub fn cut_off(&self, time: std::time::Duration) {
        self.proxy.refuse();
        std::thread::sleep(time);
        let shared = Arc::clone(&self.orders);
        self.proxy.heal();
        self.proxy.inject(move |asked| lock(&shared).fault(asked));
    }
}

impl Orders {
    fn fault(&mut self, asked: &Asked) -> Fault {
        // Leases are small and often: what they are for is another test's.
        let writes = matches!(asked.kind, Kind::Put | Kind::Part);
        if !writes || asked.target.contains("/leases/") {
            return Fault::Pass;
        }
        if self.stops.as_ref().is_some_and(|stop| asked.target.contains(&stop.at)) {
            let stop = self.stops.take().expect("there is one");
            kill_process(stop.process, Signal::STOP).expect("it runs");
            self.stopped_at = Some(asked.target.clone());
            return Fault::Pass;
        }
        let is_part = asked.kind == Kind::Part;
        if is_part && std::mem::take(&mut self.tears_part) || std::mem::take(&mut self.tears) {
            self.torn.objects += 1;
            self.torn.parts += usize::from(is_part);
            return Fault::Tear(500);
        }
        Fault::Pass
    }
}

fn lock(orders: &Mutex<Orders>) -> std::sync::MutexGuard<'_, Orders> {
    orders.lock().unwrap_or_else(PoisonError::into_inner)
}
