//! A worker or a server: on a work folder of its own, by its own way to the bucket, started again
//! when it ends, ended with its test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use headwater_tests::skip;
use rustix::process::{Pid, Signal, kill_process};

use crate::site::{Site, wait_until};
use crate::way::Way;

/// Its command line, without what all have.
pub type Args = &'static [&'static str];

pub struct Process {
    name: String,
    args: Args,
    env: Vec<(String, String)>,
    way: Option<Way>,
    small_mib: Option<u32>,
    child: Child,
}

impl Process {
    /// `env` is its own.
    pub fn start(site: &Site, name: &str, args: Args, env: &[(&str, &str)]) -> Self {
        Self::begin(site, name, args, env, None)
    }

    /// One whose work folder is a disk of so many MiB, which nobody else sees; root alone may make it.
    pub fn start_on_small_disk(
        site: &Site,
        name: &str,
        args: Args,
        env: &[(&str, &str)],
        mib: u32,
    ) -> Self {
        Self::begin(site, name, args, env, Some(mib))
    }

    fn begin(
        site: &Site,
        name: &str,
        args: Args,
        env: &[(&str, &str)],
        small_mib: Option<u32>,
    ) -> Self {
        let mut env: Vec<_> =
            env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let work = site.path(&format!("work-{name}")).display().to_string();
        env.push(("HEADWATER_ENCODER__WORK_DIR".to_owned(), work));
        let way = site.server().map(Way::to);
        if let Some(way) = &way {
            let endpoint = format!("http://{}", way.address());
            env.push(("HEADWATER_STORE__S3__ENDPOINT".to_owned(), endpoint));
        }
        let name = name.to_owned();
        let child = spawn(site, &name, args, &env, small_mib);
        Self { name, args, env, way, small_mib, child }
    }

    pub fn id(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap()).unwrap()
    }

    /// Its way to the bucket.
    pub fn way(&self) -> &Way {
        self.way.as_ref().expect("the store is a bucket")
    }

    pub fn send(&self, signal: Signal) {
        let _ = kill_process(self.id(), signal);
    }

    /// Ends it by `signal`, and starts it again.
    pub fn again(&mut self, site: &Site, signal: Signal) {
        self.send(signal);
        self.child.wait().unwrap();
        self.child = spawn(site, &self.name, self.args, &self.env, self.small_mib);
    }

    /// Starts it again if it has ended by itself, as a service manager would.
    pub fn revive(&mut self, site: &Site) {
        if self.child.try_wait().unwrap().is_some() {
            self.child = spawn(site, &self.name, self.args, &self.env, self.small_mib);
        }
    }

    /// A folder as the process sees it, once its small disk is there.
    pub fn sees(&self, folder: &Path) -> PathBuf {
        let mounts = format!("/proc/{}/mountinfo", self.child.id());
        let name = format!(" {} ", folder.display());
        wait_until("a small disk", || {
            std::fs::read_to_string(&mounts).is_ok_and(|mounts| mounts.contains(&name))
        });
        let seen = PathBuf::from(format!("/proc/{}/root", self.child.id()));
        seen.join(folder.strip_prefix("/").unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(
    site: &Site,
    name: &str,
    args: &[&str],
    env: &[(String, String)],
    small_mib: Option<u32>,
) -> Child {
    let log = site.path(&format!("{name}.log"));
    let log = File::options().create(true).append(true).open(log).unwrap();
    let mut command = site.command(args);
    command.envs(env.iter().map(|(name, value)| (name, value)));
    if let Some(mib) = small_mib {
        command = on_small_disk(&command, &site.path(&format!("work-{name}")), mib);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().unwrap()
}

/// The same command, for which `folder` is a disk of its own that ends with it.
fn on_small_disk(command: &Command, folder: &Path, mib: u32) -> Command {
    std::fs::create_dir_all(folder).unwrap();
    let script = format!("mount -t tmpfs -o size={mib}m,mode=755 none \"$0\" && exec \"$@\"");
    let mut wrapped = Command::new("unshare");
    wrapped.args(["--mount", "sh", "-c", &script]).arg(folder);
    wrapped.arg(command.get_program()).args(command.get_args());
    wrapped.current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped
}

/// Whether disks can be made here, or a counted skip.
pub fn may_mount() -> bool {
    let script = "mount -t tmpfs -o size=1m none /mnt";
    let tried = Command::new("unshare").args(["--mount", "sh", "-c", script]).output();
    let may = tried.is_ok_and(|tried| tried.status.success());
    if !may {
        skip::skip("no disk can be made here to be filled: that takes root");
    }
    may
}
