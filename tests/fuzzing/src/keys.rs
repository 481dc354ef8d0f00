//! What a key server answers.

use headwater_origin::keys::cpix::response;

/// Each key has an id of its own, and no more of them come than are allowed.
pub fn cpix(bytes: &[u8]) -> bool {
    let Ok(keys) = response::parse(bytes, "cbcs") else { return false };
    assert!(keys.len() <= headwater_origin::limits::CPIX_KEYS);
    for (at, key) in keys.iter().enumerate() {
        assert!(keys[..at].iter().all(|other| other.id != key.id));
    }
    !keys.is_empty()
}
