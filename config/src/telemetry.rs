//! `[origin.telemetry]`: spans for a collector that speaks OpenTelemetry's protocol (OTLP).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::blank;
use crate::keys::HeaderSecret;
use crate::limits::MAX_SERVICE_NAME_BYTES;
use crate::url::Url;

/// `[origin.telemetry]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// Where spans are posted; nowhere where it is empty.
    #[serde(with = "blank")]
    pub endpoint: Option<Url>,
    /// Request header fields that show the collector who sends.
    pub header_secrets: Vec<HeaderSecret>,
    /// PEM file of the authorities that the collector's certificate must come from; empty for the
    /// system's.
    pub ca_file: PathBuf,
    /// `service.name`.
    pub service_name: ServiceName,
    /// `service.instance.id`; where it is empty each run has one of its own.
    #[serde(with = "blank")]
    pub service_instance: Option<ServiceName>,
    /// How many of a million requests have a span, where no trusted proxy decides.
    pub sample_per_million: u32,
    /// Spans that wait for the collector; more are dropped and counted.
    pub queue_spans: u32,
    /// Spans that are sent together.
    pub batch_spans: u32,
    /// Milliseconds that a span waits for others at most.
    pub batch_wait_ms: u32,
    /// Milliseconds for one request to the collector.
    pub timeout_ms: u32,
}

impl Telemetry {
    /// The authorities' file, where one is set.
    #[must_use]
    pub fn ca_file(&self) -> Option<&Path> {
        (!self.ca_file.as_os_str().is_empty()).then_some(&*self.ca_file)
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            endpoint: None,
            header_secrets: Vec::new(),
            ca_file: PathBuf::new(),
            service_name: ServiceName::default(),
            service_instance: None,
            sample_per_million: 10_000,
            queue_spans: 4_096,
            batch_spans: 512,
            batch_wait_ms: 2_000,
            timeout_ms: 5_000,
        }
    }
}

/// What a service or a run of it is called: visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(String);

impl ServiceName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ServiceName {
    fn default() -> Self {
        Self("headwater-origin".to_owned())
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ServiceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_sized = (1..=MAX_SERVICE_NAME_BYTES).contains(&text.len());
        if !is_sized || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!(
                "`{text}` is no name of a service: 1 to {MAX_SERVICE_NAME_BYTES} visible ASCII characters"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ServiceName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_services() {
        let longest = "x".repeat(MAX_SERVICE_NAME_BYTES);
        for good in ["headwater-origin", "vod/eu-1:a", &longest] {
            assert_eq!(good.parse::<ServiceName>().expect(good).to_string(), good);
        }
        for bad in ["", "a b", "a\n", "\u{e4}", &(longest.clone() + "x")] {
            assert!(bad.parse::<ServiceName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_never_stands_in_a_configuration() {
        let toml = "header_secrets = [{ name = \"x-a\", secret = \"000102030405060708\" }]";
        let said = toml::from_str::<Telemetry>(toml).expect_err("a secret").message().to_owned();
        assert!(said.contains("file:/absolute/path") && !said.contains("0001"), "{said}");
    }
}
