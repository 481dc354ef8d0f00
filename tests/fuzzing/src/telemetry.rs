//! What a collector of spans answers.

use headwater_origin::telemetry;

/// What it says is no longer than what it sent, and is said again alike.
pub fn otlp(bytes: &[u8]) -> bool {
    let Some(partial) = telemetry::rejected(bytes) else { return false };
    assert!(partial.message.len() <= bytes.len());
    assert_eq!(telemetry::rejected(&[bytes, bytes].concat()), Some(partial));
    true
}
