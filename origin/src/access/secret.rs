//! Reads secrets from where the configuration says they are. What is read wipes itself.

use std::fs::File;
use std::io::Read;

use headwater_config::SecretSource;
use zeroize::Zeroizing;

use super::SecretError;
use crate::limits;

/// The secret's bytes, without white space at the end.
pub(crate) fn read(source: &SecretSource) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    read_up_to(source, limits::SECRET_FILE_BYTES)
}

/// The same of a file that may be larger than one secret.
pub(crate) fn read_up_to(
    source: &SecretSource,
    most_bytes: usize,
) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let failed = |detail: String| SecretError { source: source.clone(), detail };
    let mut bytes = match source {
        SecretSource::File(path) => {
            // Room for all of it at once: a buffer that grows leaves copies behind.
            let mut bytes = Zeroizing::new(Vec::with_capacity(most_bytes + 1));
            let most = most_bytes as u64 + 1;
            let file = File::open(path).map_err(|e| failed(e.to_string()))?;
            file.take(most).read_to_end(&mut bytes).map_err(|e| failed(e.to_string()))?;
            bytes
        }
        SecretSource::Variable(name) => {
            let value = std::env::var_os(name);
            let value = value.ok_or_else(|| failed("this variable is not set".to_owned()))?;
            Zeroizing::new(value.into_encoded_bytes())
        }
    };
    if bytes.len() > most_bytes {
        return Err(failed(format!("larger than {most_bytes} bytes, which is no secret")));
    }
    let end = bytes.trim_ascii_end().len();
    bytes.truncate(end);
    Ok(bytes)
}
