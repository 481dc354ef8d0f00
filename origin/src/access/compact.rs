//! Headwater's own token, as short as a path element should be. docs/tokens.md describes it byte
//! by byte for those who issue it.
//!
//! ```text
//! token   base64url(signed | mac)
//! signed  version u8 = 1 | key id length u8 | key id | claim*
//! claim   tag u8 | length u16 | value              tags rise: each at most once, in one order
//! mac     HMAC-SHA256(secret, "headwater token\n" | signed)
//! ```
//!
//! Numbers are big-endian. Tags from 128 on inform and are passed over; any other tag that is not
//! known restricts, and refuses the token.

use super::base64url;
use super::key::{Key, Keys, MAC_BYTES, Secret};
use super::policy::{Only, Policy, Span};
use super::refusal::{Claim, Refusal};
use super::scope::PathScope;

/// The version in the first byte.
const VERSION: u8 = 1;
/// What the signature covers before the token's own bytes: no message of another kind that the
/// same secret signed is ever a token.
const CONTEXT: &[u8] = b"headwater token\n";
/// From this tag on claims restrict nothing.
const INFORMS: u8 = 128;

/// Tags, rising as they stand in a token.
mod tag {
    pub(super) const PROFILES: u8 = 1;
    pub(super) const TITLES: u8 = 2;
    pub(super) const FOLDERS: u8 = 3;
    pub(super) const URLS: u8 = 4;
    pub(super) const MAX_HEIGHT: u8 = 5;
    pub(super) const LABELS: u8 = 6;
    pub(super) const NOT_BEFORE: u8 = 7;
    pub(super) const EXPIRES: u8 = 8;
    pub(super) const NETWORKS: u8 = 9;
    pub(super) const COUNTRIES: u8 = 10;
    pub(super) const AUDIENCES: u8 = 11;
    pub(super) const SESSION: u8 = 12;
    pub(super) const ENFORCER: u8 = 13;
    pub(super) const RENEW_UNTIL: u8 = 14;
}

/// The policy of a token that one of `keys` signed. Nothing but the key's id is looked at before
/// the signature was found good.
pub fn parse(token: &str, keys: &Keys) -> Result<Policy, Refusal> {
    let bytes = base64url::decode(token.as_bytes())
        .ok_or(Refusal::TokenMalformed("not base64url in its one spelling"))?;
    let (signed, mac) =
        bytes.split_last_chunk::<MAC_BYTES>().ok_or(Refusal::TokenMalformed("cut short"))?;
    let (&version, rest) = signed.split_first().ok_or(Refusal::TokenMalformed("cut short"))?;
    if version != VERSION {
        return Err(Refusal::TokenMalformed("a version of tokens that is not known"));
    }
    let (id, claims) = key_id(rest).ok_or(Refusal::TokenMalformed("no key id"))?;
    let (id, key) = keys.key(id)?;
    let Key::Secret(secret) = key else { return Err(Refusal::AlgorithmRefused) };
    if !secret.signed(&[CONTEXT, signed], mac) {
        return Err(Refusal::SignatureWrong);
    }
    let mut policy = Policy::unrestricted(id.clone(), Span::until(0));
    let mut expires_s = None;
    let (mut claims, mut last) = (Claims(claims), 0);
    while let Some((tag, value)) = claims.next()? {
        if tag <= last {
            return Err(Refusal::TokenMalformed("claims are out of order"));
        }
        last = tag;
        match tag {
            tag::EXPIRES => expires_s = Some(number(value, Claim::Expires)?),
            INFORMS.. => {}
            _ => set(&mut policy, tag, value)?,
        }
    }
    policy.span.expires_s = expires_s.ok_or(Refusal::ClaimMissing(Claim::Expires))?;
    Ok(policy)
}

/// The token of a policy, signed with the secret that its key id names.
pub fn sign(policy: &Policy, secret: &Secret) -> String {
    let mut signed = vec![VERSION];
    let id = policy.key.as_str().as_bytes();
    signed.push(u8::try_from(id.len()).expect("key ids are shorter than 256 bytes"));
    signed.extend_from_slice(id);
    claims(policy, |tag, value| {
        let len = u16::try_from(value.len()).expect("what a token may hold is shorter than 64 KiB");
        signed.push(tag);
        signed.extend_from_slice(&len.to_be_bytes());
        signed.extend_from_slice(value);
    });
    let mac = secret.sign(&[CONTEXT, &signed]);
    signed.extend_from_slice(&mac);
    base64url::encode(&signed)
}

/// Puts every claim of a policy, in the order of tags.
fn claims(policy: &Policy, mut put: impl FnMut(u8, &[u8])) {
    // Taken apart, so that a new restriction does not compile until it has a tag.
    let Policy {
        key: _,
        profiles,
        titles,
        paths,
        max_height,
        labels,
        span,
        networks,
        countries,
        audiences,
        session,
        enforcer,
    } = policy;
    let mut put_text = |tag, text: Option<String>| {
        if let Some(text) = text {
            put(tag, text.as_bytes());
        }
    };
    put_text(tag::PROFILES, profiles.text());
    put_text(tag::TITLES, titles.text());
    put_text(tag::FOLDERS, paths_text(paths, |path| matches!(path, PathScope::Under(_))));
    put_text(tag::URLS, paths_text(paths, |path| matches!(path, PathScope::Url(_))));
    if let Some(height) = max_height {
        put(tag::MAX_HEIGHT, &height.to_be_bytes());
    }
    labels.text().iter().for_each(|text| put(tag::LABELS, text.as_bytes()));
    span.not_before_s.iter().for_each(|at_s| put(tag::NOT_BEFORE, &at_s.to_be_bytes()));
    put(tag::EXPIRES, &span.expires_s.to_be_bytes());
    networks.text().iter().for_each(|text| put(tag::NETWORKS, text.as_bytes()));
    countries.text().iter().for_each(|text| put(tag::COUNTRIES, text.as_bytes()));
    audiences.text().iter().for_each(|text| put(tag::AUDIENCES, text.as_bytes()));
    session.iter().for_each(|id| put(tag::SESSION, id.as_str().as_bytes()));
    enforcer.iter().for_each(|who| put(tag::ENFORCER, who.as_str().as_bytes()));
    span.renew_until_s.iter().for_each(|at_s| put(tag::RENEW_UNTIL, &at_s.to_be_bytes()));
}

fn paths_text(paths: &Only<PathScope>, of_kind: impl Fn(&PathScope) -> bool) -> Option<String> {
    let Only::These(paths) = paths else { return None };
    let texts: Vec<_> =
        paths.iter().filter(|path| of_kind(path)).map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

fn set(policy: &mut Policy, tag: u8, value: &[u8]) -> Result<(), Refusal> {
    match tag {
        tag::PROFILES => policy.profiles = list(value, Claim::Profiles)?,
        tag::TITLES => policy.titles = list(value, Claim::Titles)?,
        tag::FOLDERS => add_paths(&mut policy.paths, value, PathScope::under)?,
        tag::URLS => add_paths(&mut policy.paths, value, PathScope::url)?,
        tag::MAX_HEIGHT => policy.max_height = Some(number(value, Claim::MaxHeight)?),
        tag::LABELS => policy.labels = list(value, Claim::Labels)?,
        tag::NOT_BEFORE => policy.span.not_before_s = Some(number(value, Claim::NotBefore)?),
        tag::NETWORKS => policy.networks = list(value, Claim::Networks)?,
        tag::COUNTRIES => policy.countries = list(value, Claim::Countries)?,
        tag::AUDIENCES => policy.audiences = list(value, Claim::Audiences)?,
        tag::SESSION => {
            let id = text(value, Claim::Session)?.parse();
            policy.session = Some(id.map_err(|_| Refusal::ClaimMalformed(Claim::Session))?);
        }
        tag::ENFORCER => policy.enforcer = Some(text(value, Claim::Enforcer)?.parse()?),
        tag::RENEW_UNTIL => policy.span.renew_until_s = Some(number(value, Claim::RenewUntil)?),
        _ => return Err(Refusal::ClaimUnsupported),
    }
    Ok(())
}

fn add_paths(
    paths: &mut Only<PathScope>,
    value: &[u8],
    scope: impl Fn(&str) -> Result<PathScope, super::scope::NotInScope>,
) -> Result<(), Refusal> {
    let texts = text(value, Claim::Paths)?;
    let mut all = match std::mem::take(paths) {
        Only::Any => Vec::new(),
        Only::These(paths) => paths,
    };
    for text in texts.split(',') {
        all.push(scope(text).map_err(|_| Refusal::ClaimMalformed(Claim::Paths))?);
    }
    *paths = Only::These(all);
    Ok(())
}

fn list<T: std::str::FromStr>(value: &[u8], claim: Claim) -> Result<Only<T>, Refusal> {
    Only::parse(text(value, claim)?, claim)
}

fn text(value: &[u8], claim: Claim) -> Result<&str, Refusal> {
    std::str::from_utf8(value).map_err(|_| Refusal::ClaimMalformed(claim))
}

/// A big-endian number of exactly its type's size.
fn number<const N: usize, T: FromBytes<N>>(value: &[u8], claim: Claim) -> Result<T, Refusal> {
    value.try_into().map(T::from_be).map_err(|_| Refusal::ClaimMalformed(claim))
}

trait FromBytes<const N: usize> {
    fn from_be(bytes: [u8; N]) -> Self;
}

impl FromBytes<4> for u32 {
    fn from_be(bytes: [u8; 4]) -> Self {
        Self::from_be_bytes(bytes)
    }
}

impl FromBytes<8> for u64 {
    fn from_be(bytes: [u8; 8]) -> Self {
        Self::from_be_bytes(bytes)
    }
}

/// The key's id and what follows it.
fn key_id(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (&len, rest) = bytes.split_first()?;
    let (id, claims) = rest.split_at_checked(len.into())?;
    Some((std::str::from_utf8(id).ok()?, claims))
}

/// Claims not yet read.
struct Claims<'a>(&'a [u8]);

impl<'a> Claims<'a> {
    fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, Refusal> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let read = |bytes: &'a [u8]| {
            let ([tag, high, low], rest) = bytes.split_first_chunk()?;
            let len = u16::from_be_bytes([*high, *low]);
            let (value, rest) = rest.split_at_checked(len.into())?;
            Some((*tag, value, rest))
        };
        let (tag, value, rest) =
            read(self.0).ok_or(Refusal::TokenMalformed("a claim is cut short"))?;
        self.0 = rest;
        Ok(Some((tag, value)))
    }
}
