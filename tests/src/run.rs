//! Runs a process to its end.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

/// Runs a command that must succeed, and gives its standard output.
pub fn succeed(command: &mut Command) -> Vec<u8> {
    let output = finish(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Runs a command, whatever comes of it.
pub fn finish(command: &mut Command) -> Output {
    let program = command.get_program().to_owned();
    command.stdin(Stdio::null()).output().unwrap_or_else(|e| missing(&program, &e))
}

/// A command without the settings that the caller's environment may hold.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HEADWATER_") {
            command.env_remove(name);
        }
    }
    command
}

fn missing(program: &OsStr, error: &std::io::Error) -> ! {
    panic!("{}: {error}; `make test` installs what tests need", program.display())
}
