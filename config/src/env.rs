//! Environment variables as settings: `HEADWATER_ORIGIN__CACHE__RESPONSES_MIB=64`.
//!
//! The prefix, then the key's path with `__` between its levels, in any case. The value is read
//! as TOML (`64`, `true`, `["0.0.0.0:80"]`); what is not TOML, and whatever a text key is given,
//! is taken as text. A name that is no key is an error, with these exceptions:
//! - `HEADWATER_CONFIG`, the default of `--config`;
//! - `HEADWATER_TEST_...`, for the test suite;
//! - the names that Kubernetes gives every container for a service called `headwater...`
//!   (`HEADWATER_PORT`, `HEADWATER_ORIGIN_SERVICE_HOST`, ...).

use toml::Value;

/// The variable with the path of the configuration file, when `--config` is not given.
pub const CONFIG_VARIABLE: &str = "HEADWATER_CONFIG";

const PREFIX: &str = "HEADWATER_";
const TESTS_PREFIX: &str = "HEADWATER_TEST_";
const LEVELS: &str = "__";

/// The process's environment as [`Config::load`](crate::Config::load) takes it. A value that is
/// not UTF-8 is read with replacement characters, so that it fails where it is used.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| {
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        (text(name), text(value))
    })
}

/// The key's path that a variable sets; `None` for a variable that is no setting.
pub(crate) fn key_path(name: &str) -> Option<Vec<String>> {
    let key = name.strip_prefix(PREFIX)?;
    if name == CONFIG_VARIABLE || name.starts_with(TESTS_PREFIX) || is_kubernetes_link(name) {
        return None;
    }
    Some(key.split(LEVELS).map(str::to_ascii_lowercase).collect())
}

/// The variable that sets a key: the way back, for error messages.
pub(crate) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', LEVELS).to_ascii_uppercase())
}

/// A variable's text as a value of the kind that `known` is, as far as it can be.
pub(crate) fn value(text: &str, known: Option<&Value>) -> Value {
    let parsed = text.parse::<Value>().ok();
    match (parsed, known) {
        (Some(Value::String(inner)), _) => Value::String(inner),
        (Some(_), Some(Value::String(_))) | (None, _) => Value::String(text.to_owned()),
        (Some(other), _) => other,
    }
}

/// Kubernetes documentation, "Accessing the Service": `{SVC}_SERVICE_HOST`,
/// `{SVC}_SERVICE_PORT[_NAME]`, `{SVC}_PORT[_8080_TCP[_PROTO|_PORT|_ADDR]]`.
fn is_kubernetes_link(name: &str) -> bool {
    let numbered = name
        .split_once("_PORT_")
        .is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()));
    !name.contains(LEVELS)
        && (name.ends_with("_SERVICE_HOST")
            || name.ends_with("_PORT")
            || name.contains("_SERVICE_PORT_")
            || numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let table: &[(&str, Option<&str>)] = &[
            ("HEADWATER_ORIGIN__CACHE__RESPONSES_MIB", Some("origin.cache.responses_mib")),
            ("HEADWATER_profiles__vip__segment_ms", Some("profiles.vip.segment_ms")),
            ("HEADWATER_ORIGIN_LISTEN", Some("origin_listen")),
            ("HEADWATER_CONFIG", None),
            ("HEADWATER_CONFIGS", Some("configs")),
            ("HEADWATER_TEST_LONG", None),
            ("HEADWATER_PORT", None),
            ("HEADWATER_ORIGIN_SERVICE_HOST", None),
            ("HEADWATER_ORIGIN_SERVICE_PORT_HTTP", None),
            ("HEADWATER_PORT_8080_TCP_ADDR", None),
            ("HEADWATER_ORIGIN__ADMIN_PORT", Some("origin.admin_port")),
            ("PATH", None),
        ];
        for (name, wanted) in table {
            assert_eq!(key_path(name).map(|path| path.join(".")).as_deref(), *wanted, "{name}");
        }
        assert_eq!(variable("origin.cache.titles_mib"), "HEADWATER_ORIGIN__CACHE__TITLES_MIB");
    }

    #[test]
    fn values() {
        let text = Value::String(String::new());
        let number = Value::Integer(0);
        let table: &[(&str, Option<&Value>, Value)] = &[
            ("64", Some(&number), Value::Integer(64)),
            ("true", None, Value::Boolean(true)),
            ("[\"a\"]", None, Value::Array(vec![Value::String("a".into())])),
            ("/srv/store", Some(&text), Value::String("/srv/store".into())),
            ("2024", Some(&text), Value::String("2024".into())),
            ("\"quoted\"", Some(&text), Value::String("quoted".into())),
            ("", Some(&number), Value::String(String::new())),
        ];
        for (given, known, wanted) in table {
            assert_eq!(value(given, *known), *wanted, "{given}");
        }
    }
}
