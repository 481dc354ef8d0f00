//! Rules between the keys of `[profiles.<name>.access]`, and between profiles: a protected profile
//! that leads nowhere else.

use super::Findings;
use crate::{Access, Config, EnforcedBy, Name, Profile, PropagateQuery, Renewal, TitleRule};

pub(super) fn check(config: &Config, found: &mut Findings) {
    check_keys(config, found);
    check_own_keys(config, found);
    for (name, profile) in &config.profiles {
        check_one(name, &profile.access, found);
        check_token_keys(config, name, &profile.access, found);
    }
    for (name, profile) in &config.profiles {
        check_handing_out(config, name, &profile.access, found);
    }
    check_encrypted(config, found);
    let is_public = |profile: &Profile| profile.access.enforced_by == EnforcedBy::None;
    let (public, protected): (Vec<_>, Vec<_>) =
        config.profiles.iter().partition(|(_, profile)| is_public(profile));
    for (name, profile) in protected {
        for (public_name, public) in &public {
            if let Some(shared) = shared(profile, public) {
                found.error(
                    format!("profiles.{public_name}.{}", shared.key),
                    format!(
                        "{} is served to everybody here, and by profiles.{name} only to those whom {} admits",
                        shared.what,
                        profile.access.enforced_by.as_str()
                    ),
                    "let no title be both: name others, or give protected titles an access class",
                );
            }
        }
    }
}

/// Encrypted media that another path leads to in the clear is not protected.
fn check_encrypted(config: &Config, found: &mut Findings) {
    let (encrypted, clear): (Vec<_>, Vec<_>) =
        config.profiles.iter().partition(|(_, profile)| profile.protection.is_on());
    for (name, profile) in encrypted {
        let enforced_by = profile.access.enforced_by;
        let as_open = |other: &Profile| {
            matches!(other.access.enforced_by, EnforcedBy::None)
                || other.access.enforced_by == enforced_by
        };
        for (clear_name, clear) in clear.iter().filter(|(_, clear)| as_open(clear)) {
            if let Some(shared) = shared(profile, clear) {
                found.error(
                    format!("profiles.{clear_name}.{}", shared.key),
                    format!(
                        "{} is served in the clear here, and encrypted by profiles.{name}",
                        shared.what
                    ),
                    "let no title be both: name others, or give encrypted titles an access class",
                );
            }
        }
    }
}

fn check_one(name: &Name, access: &Access, found: &mut Findings) {
    let key = |key: &str| format!("profiles.{name}.access.{key}");
    match access.enforced_by {
        EnforcedBy::Cdn if access.cdn_secrets.is_empty() => found.error(
            key("cdn_secrets"),
            "enforced_by = \"cdn\" without a secret: nothing tells the CDN from anybody else"
                .to_owned(),
            "name a secret that the CDN sends, such as [\"file:/run/secrets/cdn\"]",
        ),
        EnforcedBy::None | EnforcedBy::Origin if !access.cdn_secrets.is_empty() => found.error(
            key("cdn_secrets"),
            format!(
                "enforced_by = \"{}\" looks at no secret of a CDN",
                access.enforced_by.as_str()
            ),
            "write enforced_by = \"cdn\", or remove the secrets",
        ),
        EnforcedBy::None | EnforcedBy::Cdn | EnforcedBy::Origin => {}
    }
}

fn check_keys(config: &Config, found: &mut Findings) {
    let keys = &config.origin.tokens.keys;
    for (at, key) in keys.iter().enumerate() {
        if keys[..at].iter().any(|other| other.id == key.id) {
            found.error(
                "origin.tokens.keys",
                format!("two keys are called {}", key.id),
                "give each an id of its own: tokens say by it which one signed them",
            );
        }
    }
}

fn check_own_keys(config: &Config, found: &mut Findings) {
    let tokens = &config.origin.tokens;
    for own in &tokens.own_keys {
        if !tokens.keys.iter().any(|key| key.id == *own) {
            found.error(
                "origin.tokens.own_keys",
                format!("no secret is called {own}"),
                "write ids of origin.tokens.keys: public keys sign nothing",
            );
        }
    }
}

fn check_token_keys(config: &Config, name: &Name, access: &Access, found: &mut Findings) {
    let tokens = &config.origin.tokens;
    if access.enforced_by == EnforcedBy::Origin && tokens.keys.is_empty() && tokens.jwks.is_empty()
    {
        found.error(
            format!("profiles.{name}.access.enforced_by"),
            "\"origin\" wants a token from everybody, and no key is configured: nobody could be admitted".to_owned(),
            "name keys in origin.tokens, or write \"cdn\" and let the CDN check its viewers",
        );
    }
    let known = |id: &crate::TokenKeyId| tokens.keys.iter().any(|key| key.id == *id);
    // What a set of public keys holds is not known here.
    if let Some(id) = access.token_keys.iter().find(|id| !known(id) && tokens.jwks.is_empty()) {
        found.error(
            format!("profiles.{name}.access.token_keys"),
            format!("no key is called {id}"),
            "write an id of origin.tokens.keys",
        );
    }
}

/// What differs from viewer to viewer is nothing for a CDN's cache.
fn check_handing_out(config: &Config, name: &Name, access: &Access, found: &mut Findings) {
    let key = |key: &str| format!("profiles.{name}.access.{key}");
    let personal = [
        ("exchange", access.exchange),
        ("renewal", access.renewal != Renewal::None),
        ("propagate_query", access.propagate_query == PropagateQuery::Inline),
    ];
    for (setting, _) in personal.iter().filter(|(_, on)| *on) {
        if access.enforced_by != EnforcedBy::Origin {
            found.error(
                key(setting),
                format!(
                    "enforced_by = \"{}\" has the same answers for every viewer, and this makes them differ",
                    access.enforced_by.as_str()
                ),
                "write enforced_by = \"origin\", or leave it out",
            );
        }
    }
    if access.propagate_query == PropagateQuery::Reference && access.enforced_by == EnforcedBy::None
    {
        found.error(
            key("propagate_query"),
            "a public profile takes no token that could be passed on".to_owned(),
            "leave it out",
        );
    }
    let tokens = &config.origin.tokens;
    if access.hands_out() && tokens.own_keys.is_empty() {
        found.error(
            key(if access.exchange { "exchange" } else { "renewal" }),
            "the service has no key of its own to sign what it hands out".to_owned(),
            "add a secret to origin.tokens.keys that no issuer has, and name it in origin.tokens.own_keys",
        );
    }
}

/// Something that two profiles serve.
struct Shared {
    /// The key of the second profile that lets it in.
    key: &'static str,
    what: String,
}

fn shared(a: &Profile, b: &Profile) -> Option<Shared> {
    if let Some(class) = a.access_classes.iter().find(|class| b.access_classes.contains(class)) {
        return Some(Shared { key: "access_classes", what: format!("access class \"{class}\"") });
    }
    let mut pairs = a.titles.iter().flat_map(|one| b.titles.iter().map(move |two| (one, two)));
    let rule = pairs.find_map(|(one, two)| common(one, two))?;
    Some(Shared { key: "titles", what: format!("titles = \"{}\"", String::from(rule.clone())) })
}

/// The narrower of two rules that some title fits both.
fn common<'a>(one: &'a TitleRule, two: &'a TitleRule) -> Option<&'a TitleRule> {
    let covers = |wide: &TitleRule, narrow: &TitleRule| match narrow {
        TitleRule::Exact(id) => wide.matches(id),
        TitleRule::Prefix(prefix) => {
            matches!(wide, TitleRule::Prefix(wide) if prefix.starts_with(wide.as_str()))
        }
    };
    match (covers(two, one), covers(one, two)) {
        (true, _) => Some(one),
        (_, true) => Some(two),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(toml: &str) -> Vec<String> {
        let config: Config = toml::from_str(toml).expect("good keys");
        config.check().iter().map(ToString::to_string).collect()
    }

    fn cdn(titles: &str) -> String {
        format!(
            "[profiles.paid]\n{titles}\n[profiles.paid.access]\nenforced_by = \"cdn\"\ncdn_secrets = [\"env:A\"]\n"
        )
    }

    #[test]
    fn every_combination_within_a_profile() {
        let of = |who: &str, secrets: &str| {
            found(&format!(
                "[profiles.p.access]\nenforced_by = \"{who}\"\ncdn_secrets = {secrets}\n"
            ))
        };
        let one = "[\"env:A\"]";
        let two = "[\"env:A\", \"file:/run/b\"]";
        let no_secret = "error: `profiles.p.access.cdn_secrets`: enforced_by = \"cdn\" without a secret: nothing tells the CDN from anybody else; name a secret that the CDN sends, such as [\"file:/run/secrets/cdn\"]";
        let unused = |who| {
            format!(
                "error: `profiles.p.access.cdn_secrets`: enforced_by = \"{who}\" looks at no secret of a CDN; write enforced_by = \"cdn\", or remove the secrets"
            )
        };
        let no_token = "error: `profiles.p.access.enforced_by`: \"origin\" wants a token from everybody, and no key is configured: nobody could be admitted; name keys in origin.tokens, or write \"cdn\" and let the CDN check its viewers";
        assert_eq!(of("none", "[]"), [""; 0]);
        assert_eq!(of("cdn", one), [""; 0]);
        assert_eq!(of("cdn", two), [""; 0]);
        assert_eq!(of("cdn", "[]"), [no_secret]);
        assert_eq!(of("none", one), [unused("none")]);
        assert_eq!(of("origin", one), [unused("origin"), no_token.to_owned()]);
        assert_eq!(of("origin", "[]"), [no_token]);
    }

    #[test]
    fn what_is_handed_out_is_the_origins() {
        let of = |who: &str, own: &str, settings: &str| {
            let secrets = if who == "cdn" { "cdn_secrets = [\"env:A\"]" } else { "" };
            let found = found(&format!(
                "[origin.tokens]\nkeys = [{{ id = \"a\", secret = \"env:A\" }}]\nown_keys = {own}\n[profiles.p.access]\nenforced_by = \"{who}\"\n{secrets}\n{settings}\n"
            ));
            found
                .into_iter()
                .map(|line| line.split(';').next().unwrap_or("").to_owned())
                .collect::<Vec<_>>()
        };
        let one = "[\"a\"]";
        let all = "exchange = true\nrenewal = \"cookie\"\npropagate_query = \"inline\"";
        assert_eq!(of("origin", one, all), [""; 0]);
        assert_eq!(of("cdn", one, "propagate_query = \"reference\""), [""; 0]);
        for who in ["none", "cdn"] {
            let differ = |key: &str| {
                format!(
                    "error: `profiles.p.access.{key}`: enforced_by = \"{who}\" has the same answers for every viewer, and this makes them differ"
                )
            };
            let wanted = ["exchange", "renewal", "propagate_query"].map(differ);
            assert_eq!(of(who, one, all), wanted);
        }
        let no_key = |key: &str| {
            format!(
                "error: `profiles.p.access.{key}`: the service has no key of its own to sign what it hands out"
            )
        };
        assert_eq!(of("origin", "[]", "exchange = true"), [no_key("exchange")]);
        assert_eq!(of("origin", "[]", "renewal = \"exchange\""), [no_key("renewal")]);
        let unknown = "error: `origin.tokens.own_keys`: no secret is called b";
        assert_eq!(of("origin", "[\"b\"]", "exchange = true"), [unknown]);
        let public = "error: `profiles.p.access.propagate_query`: a public profile takes no token that could be passed on";
        assert_eq!(of("none", one, "propagate_query = \"reference\""), [public]);
    }

    #[test]
    fn keys_of_tokens() {
        let of = |keys: &str, jwks: &str, token_keys: &str| {
            found(&format!(
                "[origin.tokens]\nkeys = {keys}\njwks = {jwks}\n[profiles.p.access]\nenforced_by = \"origin\"\ntoken_keys = {token_keys}\n"
            ))
        };
        let a = "[{ id = \"a\", secret = \"env:A\" }]";
        let twice = "[{ id = \"a\", secret = \"env:A\" }, { id = \"a\", secret = \"env:B\" }]";
        assert_eq!(of(a, "[]", "[]"), [""; 0]);
        assert_eq!(of(a, "[]", "[\"a\"]"), [""; 0]);
        assert_eq!(of("[]", "[\"file:/run/jwks\"]", "[\"b\"]"), [""; 0]);
        assert_eq!(
            of(a, "[]", "[\"b\"]"),
            [
                "error: `profiles.p.access.token_keys`: no key is called b; write an id of origin.tokens.keys"
            ]
        );
        assert_eq!(
            of(twice, "[]", "[]"),
            [
                "error: `origin.tokens.keys`: two keys are called a; give each an id of its own: tokens say by it which one signed them"
            ]
        );
    }

    #[test]
    fn no_edit_of_a_path_leads_from_a_protected_profile_to_a_public_one() {
        let clear = |titles: &str| format!("[profiles.clear]\n{titles}\n");
        // name, public profile's rule, protected profile's rule, key and thing found
        let table = [
            (
                "all and all",
                "titles = [\"*\"]",
                "titles = [\"*\"]",
                Some(("titles", "titles = \"*\"")),
            ),
            (
                "one of all",
                "titles = [\"*\"]",
                "titles = [\"film\"]",
                Some(("titles", "titles = \"film\"")),
            ),
            (
                "prefixes",
                "titles = [\"a*\"]",
                "titles = [\"ab*\"]",
                Some(("titles", "titles = \"ab*\"")),
            ),
            (
                "prefixes, turned",
                "titles = [\"ab*\"]",
                "titles = [\"a*\"]",
                Some(("titles", "titles = \"ab*\"")),
            ),
            (
                "the same one",
                "titles = [\"x\", \"f\"]",
                "titles = [\"f\"]",
                Some(("titles", "titles = \"f\"")),
            ),
            ("different ones", "titles = [\"a*\"]", "titles = [\"b*\", \"c\"]", None),
            ("an id is no prefix", "titles = [\"film\"]", "titles = [\"film2\"]", None),
            (
                "all, and a class",
                "titles = [\"*\"]",
                "titles = []\naccess_classes = [\"paid\"]",
                None,
            ),
            (
                "one class",
                "titles = []\naccess_classes = [\"paid\", \"free\"]",
                "titles = []\naccess_classes = [\"paid\"]",
                Some(("access_classes", "access class \"paid\"")),
            ),
        ];
        for (name, public, protected, wanted) in table {
            let got = found(&(clear(public) + &cdn(protected)));
            let wanted: Vec<_> = wanted.map(|(key, what)| format!("error: `profiles.clear.{key}`: {what} is served to everybody here, and by profiles.paid only to those whom cdn admits; let no title be both: name others, or give protected titles an access class")).into_iter().collect();
            assert_eq!(got, wanted, "{name}");
        }
    }
}
