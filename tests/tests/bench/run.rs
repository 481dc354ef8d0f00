//! The harness' binary, and the report that it made.

use headwater_tests::{binaries, run};
use serde_json::Value;

/// What a run came to.
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// Its report; null where there was none.
    pub report: Value,
    /// What it said on standard error.
    pub said: String,
}

/// Runs a command to its end.
pub fn bench(args: &[&str]) -> Ran {
    let mut command = run::command(binaries::bench());
    let output = run::finish(command.args(args).args(["--quiet", "--json", "-"]));
    Ran {
        code: output.status.code().expect("it was not killed"),
        report: serde_json::from_slice(&output.stdout).unwrap_or(Value::Null),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Ran {
    /// A figure.
    pub fn figure(&self, name: &str) -> f64 {
        let value = self.report["figures"][name].as_f64();
        value.unwrap_or_else(|| panic!("no figure {name}: {}\n{:#}", self.said, self.report))
    }

    /// How many failed in a way.
    pub fn failed(&self, kind: &str) -> u64 {
        self.report["failures"][kind]["count"].as_u64().unwrap_or(0)
    }

    /// Fails unless it ended so.
    pub fn ends_with(&self, code: i32) -> &Self {
        let Self { said, report, .. } = self;
        assert_eq!(self.code, code, "{said}\n{:#}\n{:#}", report["failures"], report["figures"]);
        self
    }
}
