//! `headwater-origin check`: looks at everything a start would need, and says what is wrong.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use futures_util::stream::{self, StreamExt};
use headwater_config::{Config, Severity, StoreUrl};
use headwater_packager::ids::TitleId;

use crate::access::tokens::Tokens;
use crate::failure::{Failure, Part};
use crate::keys::KeyRing;
use crate::limits;
use crate::metrics::Metrics;
use crate::profile::Profiles;
use crate::rooms;
use crate::telemetry::Telemetry;
use crate::titles::Titles;
use crate::tls::Certificates;

/// How many findings of each severity there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What keeps the service from serving something.
    pub errors: usize,
    /// What may surprise.
    pub warnings: usize,
}

/// Looks at a loaded configuration: rules between keys, the store, and the heads of every live
/// version. Writes a line for each finding.
pub async fn check(config: &Config, out: &mut impl Write) -> io::Result<Found> {
    let mut found = Found::default();
    for finding in config.check() {
        match finding.severity {
            Severity::Error => found.errors += 1,
            Severity::Warning => found.warnings += 1,
        }
        writeln!(out, "{finding}")?;
    }
    check_certificates(config, &mut found, out)?;
    if let Err(not_ready) = KeyRing::open(&config.keys, &KeyRing::default()) {
        found.errors += 1;
        writeln!(out, "error: {not_ready}")?;
    }
    if let Err(not_ready) = Telemetry::check(&config.origin.telemetry) {
        found.errors += 1;
        writeln!(out, "error: {not_ready}")?;
    }
    let metrics = Arc::new(Metrics::new());
    let url = &config.store.url;
    let probed = match rooms::store(config, &metrics) {
        Ok(store) => store.probe().await.map(|()| store),
        Err(e) => Err(e),
    };
    let store = match probed {
        Ok(store) => store,
        Err(e) => {
            found.errors += 1;
            // What a bucket lacks its error says by itself.
            let remedy = match url {
                StoreUrl::File(_) => {
                    "; create the folder, let this user read it, or name another one"
                }
                StoreUrl::S3(_) => "",
            };
            writeln!(out, "error: `store.url` = {url}: {}{remedy}", e.detail)?;
            return Ok(found);
        }
    };
    let ids = match store.list_titles(limits::LISTED_TITLES).await {
        Ok(ids) => ids,
        Err(e) => {
            found.errors += 1;
            writeln!(out, "error: {}", e.into_failure(Part::List, "titles/"))?;
            return Ok(found);
        }
    };
    let rooms = rooms::titles(config, store, &metrics);
    if let Err(error) = Tokens::open(&config.origin.tokens) {
        found.errors += 1;
        writeln!(out, "error: `origin.tokens`: {error}")?;
    }
    let profiles = match Profiles::new(&config.profiles) {
        Ok(profiles) => profiles,
        Err(not_ready) => {
            found.errors += 1;
            writeln!(out, "error: {not_ready}")?;
            return Ok(found);
        }
    };
    let mut good = 0;
    let mut looks = stream::iter(&ids)
        .map(async |id| (id, look(&rooms, &profiles, id).await))
        .buffered(limits::LISTED_AT_ONCE);
    while let Some((id, looked)) = looks.next().await {
        match looked {
            Ok(served) => {
                good += usize::from(served);
                if !served {
                    found.warnings += 1;
                    writeln!(out, "warning: title {id}: not live, or no profile serves it")?;
                }
            }
            // Its first version is still on its way: title.json is written last.
            Err(Failure::UnknownTitle) => writeln!(out, "notice: title {id}: not published yet")?,
            Err(failure) => {
                found.errors += 1;
                writeln!(out, "error: title {id}: {failure}")?;
            }
        }
    }
    let listed = ids.len();
    writeln!(out, "store {url}: {listed} titles looked at, {good} can be served")?;
    Ok(found)
}

/// Reads every certificate and key.
fn check_certificates(config: &Config, found: &mut Found, out: &mut impl Write) -> io::Result<()> {
    let certificates = match Certificates::read(&config.origin.tls.certificates) {
        Ok(certificates) => certificates,
        Err(error) => {
            found.errors += 1;
            return writeln!(out, "error: {error}");
        }
    };
    for (file, validity) in certificates.validities() {
        if let Some(worry) = validity.worry(SystemTime::now()) {
            found.warnings += 1;
            writeln!(out, "warning: `origin.tls.certificates`: {}: {worry}", file.display())?;
        }
    }
    Ok(())
}

/// Whether some profile serves the title now; its live version's heads are opened.
async fn look(titles: &Arc<Titles>, profiles: &Profiles, id: &TitleId) -> Result<bool, Failure> {
    let now = Instant::now();
    let pointer = titles.pointer(id, now).await?;
    let class = pointer.access_class.as_deref();
    let admitted = profiles.iter().any(|(_, p)| p.settings.admits(id.as_str(), class));
    let Some(version) = pointer.live.filter(|_| admitted && !pointer.deleted) else {
        return Ok(false);
    };
    titles.opened(id, version, now).await?;
    Ok(true)
}
