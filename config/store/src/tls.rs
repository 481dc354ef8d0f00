//! One crypto provider for every TLS connection of the process.

/// Makes ring the process's provider for rustls. Two crates that each bring one would otherwise
/// make rustls refuse to choose. Called first thing in `main`; a second call changes nothing.
pub fn install_provider() {
    // The error is the provider that was there before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
