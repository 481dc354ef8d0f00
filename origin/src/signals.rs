//! What signals ask for.
//!
//! ```text
//! SIGTERM, SIGQUIT   stop listening, end running responses within grace_s, exit
//! SIGINT             the same within two seconds
//! a second one       exit at once
//! SIGHUP             read the configuration and the certificates again; see `reload`
//! SIGUSR2            start the program anew and hand the listeners over to it; see `upgrade`
//! ```

use std::io;
use std::thread;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To end.
    Stop(Stop),
    /// Another configuration.
    Reload,
    /// Another process in this one's place.
    Upgrade,
}

/// How much time is left for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The grace.
    Terminate,
    /// Hardly any: somebody sits and waits.
    Interrupt,
}

/// Tells of every signal from now on, in a thread of its own, until `tell` says that nobody
/// listens.
pub fn listen(mut tell: impl FnMut(Asked) -> bool + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _entered = runtime.enter();
        Signals::new()?
    };
    let tell_of_all = async move { while tell(signals.next().await) {} };
    let named = thread::Builder::new().name("signals".to_owned());
    named.spawn(move || runtime.block_on(tell_of_all)).map(drop)
}

struct Signals {
    terminate: Signal,
    quit: Signal,
    interrupt: Signal,
    hang_up: Signal,
    user_2: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            user_2: signal(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop(Stop::Terminate),
            _ = self.quit.recv() => Asked::Stop(Stop::Terminate),
            _ = self.interrupt.recv() => Asked::Stop(Stop::Interrupt),
            _ = self.hang_up.recv() => Asked::Reload,
            _ = self.user_2.recv() => Asked::Upgrade,
        }
    }
}
