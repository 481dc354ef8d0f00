//! What holds ffmpeg and ffprobe, which read what strangers send: no network, no privileges, and
//! limits that follow from the work, because a fixed one would end long titles.
//!
//! ```text
//! unshare   namespaces: no network, no other's shared memory
//! setpriv   dies with us, gains no privilege, has none
//! prlimit   CPU seconds, bytes of memory, of each file, open files, no core
//! program
//! ```
//!
//! Each replaces itself by the next, so one process is started. These are programs of util-linux:
//! doing the same between fork and exec takes `unsafe` code. Files are kept from the program by
//! its arguments alone (local files, formats on a list); a service manager or a container closes
//! the rest (deploy/).

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use headwater_config::Sandbox as Wanted;
use rustix::process::{Resource, getrlimit};

use crate::error::Error;
use crate::limits;
use crate::plan::RAW;

/// How a child is shut in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sandbox {
    /// Namespaces of its own, made by a user namespace.
    User,
    /// Namespaces of its own, made by root.
    Root,
    /// What surrounds the encoder is the sandbox.
    Outer,
}

/// What one child may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// CPU seconds of all its threads.
    pub cpu_s: u64,
    /// Bytes of each file that it writes.
    pub file_bytes: u64,
    /// Bytes of address space.
    pub memory_bytes: u64,
}

impl Sandbox {
    /// Tries what this machine allows. Refuses where there are no namespaces, unless the operator
    /// says that something else shuts the encoder in.
    pub fn new(wanted: Wanted) -> Result<Self, Error> {
        Self::first_that(wanted, Self::works)
    }

    /// Makes the folder `raw` in `folder`, and lets what runs inside make files there, and nobody else:
    /// where we are root, it is not. `folder` itself stays ours: in a folder that both write, it could
    /// put a link where we are about to make a file.
    pub fn admit(self, folder: &Path) -> Result<(), Error> {
        let raw = folder.join(RAW);
        let made = match fs::create_dir(&raw) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
            made => made,
        };
        let opened = made.and_then(|()| match self {
            Self::Root => chown(&raw, None, Some(NOBODY))
                .and_then(|()| fs::set_permissions(&raw, Permissions::from_mode(0o1770))),
            Self::User | Self::Outer => Ok(()),
        });
        opened.map_err(|e| Error::storage(raw.display(), e))
    }

    fn first_that(
        wanted: Wanted,
        works: impl Fn(Self) -> Result<(), String>,
    ) -> Result<Self, Error> {
        if wanted == Wanted::Outer {
            return works(Self::Outer).map(|()| Self::Outer).map_err(|why| {
                Error::tool(format!(
                    "ffmpeg's limits cannot be set: {why}. Install util-linux, with setpriv and prlimit"
                ))
            });
        }
        // Root of the machine reads every upload; root of a user namespace only what its user may.
        let by_preference = match rustix::process::geteuid().is_root() {
            true => [Self::Root, Self::User],
            false => [Self::User, Self::Root],
        };
        let mut said = String::new();
        for sandbox in by_preference {
            match works(sandbox) {
                Ok(()) => return Ok(sandbox),
                Err(why) => said = why,
            }
        }
        Err(Error::tool(format!(
            "ffmpeg would read the upload with this machine's network in reach: namespaces are \
             refused here ({said}). Allow unprivileged user namespaces, or run the encoder in a \
             container or unit without a network and say `encoder.sandbox = \"outer\"`"
        )))
    }

    fn works(self) -> Result<(), String> {
        let words = self.wrap(&Limits::headers());
        let (program, args) = words.split_first().ok_or("no program")?;
        let output = Command::new(program)
            .args(args)
            .arg("true")
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("{program}: {e}; install util-linux"))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    }

    /// What is said to the operator.
    pub fn notice(self) -> &'static str {
        match self {
            Self::User => {
                "sandbox: ffmpeg has no network (namespace), no privileges and no credentials; CPU, \
                 memory and files are limited by the plan"
            }
            Self::Root => {
                "sandbox: ffmpeg has no network (namespace) and no credentials; CPU, memory and files \
                 are limited by the plan. It runs as nobody, and may read every file of this machine: \
                 run the encoder as a user of its own"
            }
            Self::Outer => {
                "sandbox: NO NAMESPACES (encoder.sandbox = \"outer\"): what surrounds the encoder \
                 must keep ffmpeg from the network; privileges, CPU, memory and files are limited"
            }
        }
    }

    /// What stands before `program` so that it is held by `limits`.
    pub fn wrap(self, limits: &Limits) -> Vec<String> {
        let mut words = self.words();
        let limits = limits.within_ours();
        words.push("prlimit".to_owned());
        words.push(format!("--cpu={0}:{0}", limits.cpu_s));
        words.push(format!("--fsize={0}:{0}", limits.file_bytes));
        words.push(format!("--as={0}:{0}", limits.memory_bytes));
        let files = lesser(limits::OPEN_FILES.into(), Resource::Nofile);
        words.push(format!("--nofile={files}:{files}"));
        words.push("--core=0:0".to_owned());
        words.push("--".to_owned());
        words
    }

    fn words(self) -> Vec<String> {
        // setpriv asks the kernel to kill the child when we die, even by SIGKILL. It counts the
        // thread that spawns: the binary runs one thread for all async work.
        let line = match self {
            Self::User => {
                "unshare --map-root-user --net --ipc -- setpriv --pdeathsig KILL \
                 --no-new-privs --inh-caps=-all --bounding-set=-all --"
            }
            // As nobody, so that it writes nothing but what it is let to. Uploads may be anybody's, and
            // are to be read: CAP_DAC_READ_SEARCH.
            Self::Root => {
                "unshare --net --ipc -- setpriv --reuid 65534 --regid 65534 --clear-groups \
                 --pdeathsig KILL --no-new-privs --inh-caps=-all,+dac_read_search \
                 --ambient-caps=-all,+dac_read_search --bounding-set=-all,+dac_read_search --"
            }
            Self::Outer => "setpriv --pdeathsig KILL --no-new-privs --",
        };
        line.split_whitespace().map(str::to_owned).collect()
    }
}

/// Who ffmpeg is where we are root.
const NOBODY: u32 = 65_534;

/// The lesser of what is wanted and what we may have ourselves, which no child exceeds.
fn lesser(wanted: u64, resource: Resource) -> u64 {
    getrlimit(resource).maximum.map_or(wanted, |ours| wanted.min(ours))
}

impl Limits {
    /// The same, as far as this process may give it: batch systems and units limit their processes.
    #[must_use]
    pub fn within_ours(self) -> Self {
        Self {
            cpu_s: lesser(self.cpu_s, Resource::Cpu),
            file_bytes: lesser(self.file_bytes, Resource::Fsize),
            memory_bytes: lesser(self.memory_bytes, Resource::As),
        }
    }

    /// For reading headers.
    pub fn headers() -> Self {
        Self { cpu_s: limits::PROBE_CPU_S, file_bytes: 0, memory_bytes: limits::PROBE_MEMORY_BYTES }
    }

    /// For reading every packet of `input` without decoding: by its size.
    pub fn packets(input: &Path) -> Self {
        let bytes = fs::metadata(input).map_or(0, |file| file.len());
        Self {
            cpu_s: limits::PROBE_CPU_S + bytes / limits::PACKET_BYTES_PER_CPU_S,
            ..Self::headers()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancel;
    use crate::ffmpeg::run::{self, Held, Watch};
    use std::time::Duration;

    /// Past the harness's capture, so that it is counted.
    fn skipped(why: &str) {
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("skipped: {why}\n"));
    }

    /// A machine that refuses namespaces to everybody has none for us; where it allows them, ours must
    /// stand.
    fn sandbox() -> Sandbox {
        Sandbox::new(Wanted::Namespaces).unwrap_or_else(|why| {
            let plain = Command::new("unshare")
                .args(["--map-root-user", "--net", "--ipc", "true"])
                .output()
                .unwrap();
            assert!(!plain.status.success(), "this machine allows namespaces, and yet: {why}");
            Sandbox::Outer
        })
    }

    /// What a shell says inside, and how it ended.
    fn inside(sandbox: Sandbox, limits: Limits, script: &str) -> (String, Result<(), Error>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_canceller, cancel) = cancel::pair();
            let watch = Watch {
                stall: Duration::from_secs(60),
                stops_at_damage: false,
                cancel: &cancel,
                on_read: None,
            };
            let mut said = String::new();
            let mut keep = |line: &str| {
                said.push_str(line);
                said.push('\n');
                Ok(true)
            };
            let args = vec!["-c".into(), script.into()];
            let held = Held { sandbox, limits };
            let end = run::run("sh".as_ref(), args, held, watch, &mut keep).await.unwrap();
            (said, end.success("sh"))
        })
    }

    fn roomy() -> Limits {
        Limits { cpu_s: 60, file_bytes: 1 << 20, memory_bytes: 1 << 32 }
    }

    #[test]
    fn every_limit_stands() {
        let (said, end) = inside(sandbox(), roomy(), "ulimit -t -f -v -n -c; ulimit -H -t; exit 0");
        end.unwrap();
        let (said_each, _) =
            inside(sandbox(), roomy(), "for l in t f v n c; do echo $l $(ulimit -H -$l); done");
        // dash counts files in blocks of 512 bytes, memory in KiB.
        assert_eq!(said_each, "t 60\nf 2048\nv 4194304\nn 256\nc 0\n", "{said}");
    }

    #[test]
    fn who_takes_too_much_is_ended_and_told_of() {
        let open = tempfile::tempdir().unwrap();
        sandbox().admit(open.path()).unwrap();
        let table = [
            (
                "CPU",
                Limits { cpu_s: 1, ..roomy() },
                "while :; do :; done",
                "it used up its 1 CPU seconds",
            ),
            (
                "a file",
                Limits { file_bytes: 4096, ..roomy() },
                &format!("exec head -c 100000 /dev/zero > {}/raw/limit", open.path().display()),
                "a file grew beyond its 4096 bytes",
            ),
            (
                "memory",
                Limits { memory_bytes: 64 << 20, ..roomy() },
                "exec head -c 200M /dev/zero | tail -c 190M > /dev/null",
                "it had 64 MiB of memory",
            ),
        ];
        for (name, limits, script, words) in table {
            let (_, end) = inside(sandbox(), limits, script);
            let error = end.expect_err(name).to_string();
            assert!(error.contains(words), "{name}: {error}");
        }
    }

    #[test]
    fn no_network_no_privileges_no_environment() {
        let sandbox = sandbox();
        if sandbox == Sandbox::Outer {
            skipped("this machine refuses namespaces");
            return;
        }
        let script = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; \
                      grep -E 'CapBnd|CapInh|NoNewPrivs' /proc/self/status | tr -d '\\t'; env | sort";
        let (said, end) = inside(sandbox, roomy(), script);
        end.unwrap();
        let caps = match sandbox {
            // CAP_DAC_READ_SEARCH.
            Sandbox::Root => "0000000000000004",
            _ => "0000000000000000",
        };
        let head = format!("lo\nCapInh:{caps}\nCapBnd:{caps}\nNoNewPrivs:1\n");
        assert!(said.starts_with(&head), "{said}");
        let names: Vec<&str> =
            said[head.len()..].lines().filter_map(|line| line.split('=').next()).collect();
        let known =
            ["AV_LOG_FORCE_NOCOLOR", "SVT_LOG", "LC_ALL", "PATH", "PWD", "OLDPWD", "SHLVL", "_"];
        assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    }

    /// Root's own files are not ffmpeg's to write, and what it is let to write is.
    #[test]
    fn nothing_is_written_but_where_it_may() {
        let folder = tempfile::tempdir().unwrap();
        let (open, closed) = (folder.path().join("open"), folder.path().join("closed"));
        fs::create_dir(&open).unwrap();
        fs::create_dir(&closed).unwrap();
        fs::write(open.join("ours"), "ours").unwrap();
        let sandbox = sandbox();
        if sandbox != Sandbox::Root {
            skipped("only root runs ffmpeg as nobody");
            return;
        }
        sandbox.admit(&open).unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let script = format!(
            "cat {0} && touch {1} && echo made; touch {2} || echo refused; rm -f {0} || echo kept; \
             ln -s {2} {3} || echo no link",
            path("open/ours"),
            path("open/raw/made"),
            path("closed/x"),
            path("open/v360.mp4"),
        );
        let (said, _) = inside(sandbox, roomy(), &script);
        assert_eq!(said, "oursmade\nrefused\nkept\nno link\n");
    }

    /// prlimit cannot raise what this process was given.
    #[test]
    fn limits_are_never_above_our_own() {
        let all = Limits { cpu_s: u64::MAX, file_bytes: u64::MAX, memory_bytes: u64::MAX };
        let ours = all.within_ours();
        let most = |resource| getrlimit(resource).maximum.unwrap_or(u64::MAX);
        assert_eq!(ours.memory_bytes, most(Resource::As));
        let little = Limits { cpu_s: 1, file_bytes: 1, memory_bytes: 1 };
        assert_eq!(little.within_ours(), little);
        assert!(lesser(u64::MAX, Resource::Nofile) < u64::MAX);
    }

    #[test]
    fn without_namespaces_it_refuses_unless_told() {
        let refused = |_| Err("unshare failed: Operation not permitted".to_owned());
        let error = Sandbox::first_that(Wanted::Namespaces, refused).unwrap_err().to_string();
        assert_eq!(
            error,
            "ffmpeg would read the upload with this machine's network in reach: namespaces are refused \
             here (unshare failed: Operation not permitted). Allow unprivileged user namespaces, or run \
             the encoder in a container or unit without a network and say `encoder.sandbox = \"outer\"`"
        );
        assert_eq!(Sandbox::first_that(Wanted::Outer, |_| Ok(())), Ok(Sandbox::Outer));
        let missing = |_| Err("prlimit: No such file or directory".to_owned());
        let error = Sandbox::first_that(Wanted::Outer, missing).unwrap_err().to_string();
        assert!(error.contains("No such file or directory. Install util-linux"), "{error}");
        assert!(Sandbox::Outer.notice().contains("NO NAMESPACES"));
    }
}
