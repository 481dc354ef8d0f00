//! Whom TLS trusts, and one crypto provider for every TLS connection of the process.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use aws_smithy_http_client::tls::{TlsContext, TrustStore};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::limits;

/// Makes ring the process's provider for rustls. Two crates that each bring one would otherwise
/// make rustls refuse to choose. Called first thing in `main`; a second call changes nothing.
pub fn install_provider() {
    // The error is the provider that was there before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Trust in the authorities of a PEM file and in no others. All of it is looked at here, because
/// the SDK takes what it cannot read for a fault in the program.
pub(crate) fn trust(file: &Path) -> Result<TlsContext, String> {
    let wrong = |what: String| {
        format!(
            "`store.s3.ca_file` = {} {what}; name a PEM file with the authority's certificate",
            file.display()
        )
    };
    let mut pem = Vec::new();
    File::open(file)
        .and_then(|opened| opened.take(limits::CA_FILE_BYTES + 1).read_to_end(&mut pem))
        .map_err(|e| wrong(format!("cannot be read: {e}")))?;
    if pem.len() as u64 > limits::CA_FILE_BYTES {
        return Err(wrong(format!("is larger than {} bytes", limits::CA_FILE_BYTES)));
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|e| wrong(format!("is no PEM: {e}")))?;
        roots.add(certificate).map_err(|e| wrong(format!("holds a bad certificate: {e}")))?;
    }
    if roots.is_empty() {
        return Err(wrong("holds no certificate".to_owned()));
    }
    let store = TrustStore::empty().with_pem_certificate(pem);
    TlsContext::builder().with_trust_store(store).build().map_err(|e| wrong(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_authority_is_named_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let begin = "-----BEGIN CERTIFICATE-----\n";
        let end = "-----END CERTIFICATE-----\n";
        let large = "#\n".repeat(usize::try_from(limits::CA_FILE_BYTES).unwrap());
        let table: [(&str, &str, &str); 5] = [
            ("empty", "", "holds no certificate"),
            ("words", "trust me", "holds no certificate"),
            ("cut", begin, "is no PEM"),
            ("odd", &format!("{begin}AAAA\n{end}"), "holds a bad certificate"),
            ("large", &large, "is larger than"),
        ];
        for (name, text, wanted) in table {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            let told = trust(&file).unwrap_err();
            assert!(told.contains(&file.display().to_string()), "{told}");
            assert!(told.contains(wanted), "{name}: {told}");
        }
        let told = trust(&folder.path().join("absent")).unwrap_err();
        assert!(told.contains("cannot be read: No such file"), "{told}");
    }
}
