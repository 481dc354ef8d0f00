//! Rules of `[origin.telemetry]`.

use super::Findings;
use crate::Config;

pub(super) fn check(config: &Config, found: &mut Findings) {
    let telemetry = &config.origin.telemetry;
    let key = |key: &str| format!("origin.telemetry.{key}");
    if telemetry.batch_spans > telemetry.queue_spans {
        found.error(
            key("batch_spans"),
            format!(
                "{} never gather in a queue of queue_spans = {}",
                telemetry.batch_spans, telemetry.queue_spans
            ),
            "make queue_spans the larger one, best several batches",
        );
    }
    let Some(endpoint) = &telemetry.endpoint else {
        if !telemetry.header_secrets.is_empty() {
            found.warning(
                key("header_secrets"),
                "they are sent to nobody: endpoint is empty".to_owned(),
                "name the collector, or remove them",
            );
        }
        return;
    };
    if endpoint.as_str().split_once("://").is_some_and(|(_, rest)| !rest.contains('/')) {
        found.warning(
            key("endpoint"),
            format!("{endpoint} is used as it stands, and collectors take spans at /v1/traces"),
            "write the whole address, such as \"http://127.0.0.1:4318/v1/traces\"",
        );
    }
    if endpoint.has_tls() {
        return;
    }
    if !telemetry.header_secrets.is_empty() && !endpoint.is_near() {
        found.warning(
            key("header_secrets"),
            format!("they travel to {} without TLS", endpoint.authority()),
            "write https:// in endpoint",
        );
    }
    if let Some(file) = telemetry.ca_file() {
        found.warning(
            key("ca_file"),
            format!("{} is not used: the endpoint is no https:// address", file.display()),
            "make it one, or remove ca_file",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found() {
        let secret = "header_secrets = [{ name = \"authorization\", secret = \"env:A\" }]";
        let to = |endpoint: &str, more: &str| format!("endpoint = \"{endpoint}\"\n{more}");
        let table = [
            (to("http://127.0.0.1:4318/v1/traces", secret), ""),
            (to("https://otel.example/v1/traces", secret), ""),
            (to("http://otel.example/v1/traces", ""), ""),
            (
                secret.to_owned(),
                "warning: `origin.telemetry.header_secrets`: they are sent to nobody: endpoint is empty; name the collector, or remove them",
            ),
            (
                to("http://otel.example/v1/traces", secret),
                "warning: `origin.telemetry.header_secrets`: they travel to otel.example without TLS; write https:// in endpoint",
            ),
            (
                to("http://127.0.0.1:4318", ""),
                "warning: `origin.telemetry.endpoint`: http://127.0.0.1:4318 is used as it stands, and collectors take spans at /v1/traces; write the whole address, such as \"http://127.0.0.1:4318/v1/traces\"",
            ),
            (
                to("http://127.0.0.1:4318/v1/traces", "ca_file = \"a.pem\""),
                "warning: `origin.telemetry.ca_file`: a.pem is not used: the endpoint is no https:// address; make it one, or remove ca_file",
            ),
            (
                "queue_spans = 100\nbatch_spans = 101".to_owned(),
                "error: `origin.telemetry.batch_spans`: 101 never gather in a queue of queue_spans = 100; make queue_spans the larger one, best several batches",
            ),
        ];
        for (settings, wanted) in table {
            let toml = format!("[origin.telemetry]\n{settings}");
            let config: Config = toml::from_str(&toml).expect("good keys");
            let found: Vec<_> = config.check().iter().map(ToString::to_string).collect();
            assert_eq!(found.join("\n"), wanted, "{settings}");
        }
    }
}
