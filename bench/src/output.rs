//! Where a report goes, and what must hold of it: the options of all commands.

use std::io::{Write, stdout};
use std::path::PathBuf;

use crate::assertion::Assertion;
use crate::error::Error;
use crate::figures::Known;
use crate::report::{Report, html, json, table};

/// Options of every command.
#[derive(Clone, Debug, clap::Args)]
pub struct Output {
    /// What must hold, such as 'p99_ttfb_ms<20'; may be repeated. Without one that speaks of
    /// failures, failed==0 is among them
    #[arg(long = "assert", value_name = "FIGURE<NUMBER", help_heading = "Report")]
    pub assertions: Vec<Assertion>,
    /// Write the report as JSON; - for standard output, instead of the table
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    json: Option<PathBuf>,
    /// Write the report as one HTML file with plots
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    html: Option<PathBuf>,
    /// No progress on standard error
    #[arg(long, help_heading = "Report")]
    pub quiet: bool,
    /// What chance is drawn from: the same seed draws the same run
    #[arg(long, value_name = "NUMBER", default_value_t = 1, help_heading = "Report")]
    pub seed: u64,
}

impl Output {
    /// Refuses a figure that no run has, before one is made.
    pub fn check(&self, known: &Known) -> Result<(), Error> {
        match self.assertions.iter().find(|assertion| !known.has(&assertion.name)) {
            Some(unknown) => Err(Error::usage(format!(
                "--assert {unknown}: there is no figure `{}`; --help lists them",
                unknown.name
            ))),
            None => Ok(()),
        }
    }

    /// Checks the report and writes it everywhere.
    pub fn write(&self, report: &mut Report) -> Result<(), Error> {
        report.check(&self.assertions);
        let to_stdout = self.json.as_ref().is_some_and(|path| path.as_os_str() == "-");
        let text = format!("{:#}\n", json::render(report));
        let shown = if to_stdout { &text } else { &table::render(report) };
        let told = |error: std::io::Error| Error::run(format!("standard output: {error}"));
        stdout().write_all(shown.as_bytes()).map_err(told)?;
        if let Some(path) = self.json.as_ref().filter(|_| !to_stdout) {
            write(path, &text)?;
        }
        if let Some(path) = &self.html {
            write(path, &html::render(report))?;
        }
        Ok(())
    }
}

fn write(path: &std::path::Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|error| Error::run(format!("{}: {error}", path.display())))
}
