//! Tokens that this service hands out in place of a viewer's own, on requests for manifests.
//!
//! ```text
//! exchange   a token for a manifest's URL alone     -> one for what the manifest leads to
//! renewal    a token that may be renewed, or such   -> the same, for longer
//! ```
//!
//! A child is compact, signed by the service's own key, and stands in the path, so that relative
//! URIs carry it on. It keeps every restriction of its parent; only a single URL becomes the folder
//! of that URL, and only an issuer's word lets it end later.

use std::sync::Arc;

use super::compact;
use super::key::{KeyId, Secret};
use super::policy::{Only, Policy, Span};
use super::refusal::Refusal;
use super::scope::PathScope;
use crate::limits;

/// What a child is made of: its parent, which was found good for a manifest.
#[derive(Clone, Debug)]
pub struct Parent {
    /// What the parent allows.
    pub policy: Arc<Policy>,
    /// Whether the parent is for the manifest's URL alone.
    pub single: bool,
    /// When the child ends: with its parent, or as a renewal does.
    pub expires_s: u64,
}

impl Parent {
    /// What the child allows. `folder` is the manifest's, bound to a version.
    pub fn child(&self, key: KeyId, folder: &PathScope) -> Policy {
        let parent = &*self.policy;
        Policy {
            key,
            paths: match self.single {
                true => Only::These(vec![folder.clone()]),
                false => parent.paths.clone(),
            },
            span: Span { expires_s: self.expires_s, ..parent.span },
            ..parent.clone()
        }
    }

    /// The child, signed. Refused as the parent would be without an exchange where it becomes
    /// longer than tokens are.
    pub fn sign(
        &self,
        (key, secret): (KeyId, &Secret),
        folder: &PathScope,
    ) -> Result<String, Refusal> {
        let token = compact::sign(&self.child(key, folder), secret);
        if token.len() > limits::TOKEN_BYTES {
            return Err(Refusal::SingleUrlOnManifest);
        }
        Ok(token)
    }
}
