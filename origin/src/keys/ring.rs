//! The configured providers by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_config::{KeyProvider, Name, ProviderKind};

use super::cpix::Cpix;
use super::derived::Derived;
use super::static_file::StaticFile;
use super::{NotReady, Provider};

/// Every provider, opened.
#[derive(Clone, Default)]
pub struct KeyRing {
    providers: BTreeMap<Name, Arc<dyn Provider>>,
    /// Those of them that remember what they were told.
    asked: BTreeMap<Name, Cpix>,
}

impl KeyRing {
    /// Reads what the providers' settings name; no key server is asked. What `before` was told
    /// stays known.
    ///
    /// # Errors
    /// The first file or secret that cannot be read or holds something else.
    pub fn open(settings: &BTreeMap<Name, KeyProvider>, before: &Self) -> Result<Self, NotReady> {
        let mut ring = Self::default();
        for (name, settings) in settings {
            ring.add(name, settings, before)?;
        }
        Ok(ring)
    }

    /// The provider of this name.
    pub fn provider(&self, name: &str) -> Option<&Arc<dyn Provider>> {
        self.providers.get(name)
    }

    fn add(&mut self, name: &Name, settings: &KeyProvider, before: &Self) -> Result<(), NotReady> {
        // `check` says the same, with a remedy; a start may come without it.
        let lacks = |key: &str| NotReady {
            key: format!("keys.{name}.{key}"),
            detail: format!("provider = \"{}\" needs it", settings.provider.as_str()),
        };
        let provider: Arc<dyn Provider> = match settings.provider {
            ProviderKind::Derived => {
                let master = settings.master.as_ref().ok_or_else(|| lacks("master"))?;
                Arc::new(Derived::open(name, master)?)
            }
            ProviderKind::Static => {
                let file = settings.file.as_ref().ok_or_else(|| lacks("file"))?;
                Arc::new(StaticFile::open(name, file)?)
            }
            ProviderKind::Cpix => {
                let cpix = Cpix::open(name, settings, before.asked.get(name))?;
                self.asked.insert(name.clone(), cpix.clone());
                Arc::new(cpix)
            }
        };
        self.providers.insert(name.clone(), provider);
        Ok(())
    }
}
