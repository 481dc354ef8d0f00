//! A new process takes the listeners over from the running one, and no connection is refused.
//!
//! ```text
//! running one (SIGUSR2)                       new one (--take-over)
//!   starts itself anew ───────────────────────► starts itself once more, to be nobody's child
//!                                               reads its configuration, checks it
//!   offers its listeners ─────────────────────► takes those it is to have, opens others
//!                                               looks at its store, begins to accept
//!   hands over ◄─────────────────────── says so ┘
//!   ends what it answers, exits ──────────────► is the service
//! ```
//!
//! Both hold the same sockets, so there is always one that accepts: what arrives in between waits
//! in the kernel's queue for either. Until the running one hands over nothing has changed for it: a
//! new one that ends, or takes too long, is told of in the log and forgotten. The two speak over
//! the new one's standard input, so no path, port or key is needed, and nobody else can ask.
//!
//! Nobody's child is adopted by the service manager. It then sees how its new main process ends
//! also while the old one still sends; a child of the old one it would treat as a stranger's
//! (systemd 252, without the unified cgroup hierarchy, kills such a one instead of stopping it).

mod offer;
mod predecessor;
mod successor;

use std::env;
use std::ffi::OsString;
use std::io;
use std::process::Command;

use clap::ValueEnum;

pub use offer::{BadOffer, Offer, PROTOCOL};
pub use predecessor::Predecessor;
pub use successor::{HangUp, NoSuccessor, Successor};

/// How far the new process is. Its argument, `--take-over=<step>`, comes from the running one, or
/// another release of it, and stays what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Step {
    /// It is the running one's child.
    Detach,
    /// It is nobody's.
    Serve,
}

const ARGUMENT: &str = "--take-over";

/// Starts this very program once more, with the line to the running one, and leaves it alone.
pub fn detach() -> io::Result<()> {
    Command::new(env::current_exe()?).args(arguments(Step::Serve)).spawn().map(drop)
}

/// This process's own arguments, for another one that takes over.
fn arguments(step: Step) -> impl Iterator<Item = OsString> {
    let step = match step {
        Step::Detach => "detach",
        Step::Serve => "serve",
    };
    let own = env::args_os().skip(1);
    let own = own.filter(|argument| !argument.to_string_lossy().starts_with(ARGUMENT));
    own.chain([format!("{ARGUMENT}={step}").into()])
}

/// The new one's word that it begins, before its process id.
const STARTING: &str = "starting ";
/// Its word that it accepts.
const SERVING: &str = "serving";
/// The running one's word that it stops.
const YOURS: &str = "yours";
