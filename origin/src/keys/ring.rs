//! The configured providers by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_config::{KeyProvider, Name, ProviderKind};

use super::derived::Derived;
use super::static_file::StaticFile;
use super::{NotReady, Provider};

/// Every provider, opened.
#[derive(Clone, Default)]
pub struct KeyRing(BTreeMap<Name, Arc<dyn Provider>>);

impl KeyRing {
    /// Reads what the providers' settings name; no key server is asked.
    ///
    /// # Errors
    /// The first file or secret that cannot be read or holds something else.
    pub fn open(settings: &BTreeMap<Name, KeyProvider>) -> Result<Self, NotReady> {
        let opened =
            |(name, settings): (&Name, &KeyProvider)| Ok((name.clone(), open(name, settings)?));
        Ok(Self(settings.iter().map(opened).collect::<Result<_, _>>()?))
    }

    /// The provider of this name.
    pub fn provider(&self, name: &str) -> Option<&Arc<dyn Provider>> {
        self.0.get(name)
    }
}

fn open(name: &Name, settings: &KeyProvider) -> Result<Arc<dyn Provider>, NotReady> {
    // `check` says the same, with a remedy; a start may come without it.
    let lacks = |key: &str| NotReady {
        key: format!("keys.{name}.{key}"),
        detail: format!("provider = \"{}\" needs it", settings.provider.as_str()),
    };
    Ok(match settings.provider {
        ProviderKind::Derived => {
            let master = settings.master.as_ref().ok_or_else(|| lacks("master"))?;
            Arc::new(Derived::open(name, master)?)
        }
        ProviderKind::Static => {
            let file = settings.file.as_ref().ok_or_else(|| lacks("file"))?;
            Arc::new(StaticFile::open(name, file)?)
        }
        ProviderKind::Cpix => return Err(lacks("url")),
    })
}
