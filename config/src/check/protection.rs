//! Rules between the keys of `[profiles.<name>.protection]` and of `[keys.<name>]`, and between
//! profiles: keys that one of them keeps secret are given away by no other.

use super::Findings;
use crate::{
    Config, EnforcedBy, Format, KeyProvider, Name, Profile, Protection, ProviderKind, Scheme,
    SecretSource, System,
};

pub(super) fn check(config: &Config, found: &mut Findings) {
    for (name, profile) in &config.profiles {
        let key = |key: &str| format!("profiles.{name}.protection.{key}");
        if profile.protection.is_on() {
            check_keys(config, &profile.protection, &key, found);
            match profile.protection.scheme {
                Scheme::Aes128 => check_whole(config, profile, &key, found),
                Scheme::None | Scheme::Cenc | Scheme::Cbcs => check_systems(profile, &key, found),
            }
            check_addresses(&profile.protection, &key, found);
            check_delivery(profile, &key, found);
            check_periods(profile, &key, found);
            check_fairplay(profile, &key, found);
            check_scope(config, profile, &key, found);
        } else if profile.protection != Protection::default() {
            found.warning(
                key("scheme"),
                "\"none\" encrypts nothing, and the settings beside it have no effect".to_owned(),
                "write \"cbcs\", \"cenc\" or \"aes-128\", or remove them",
            );
        }
    }
    check_domains(config, found);
    for (name, provider) in &config.keys {
        check_provider(name, provider, found);
        let asks = |profile: &Profile| profile.protection.keys.as_ref() == Some(name);
        if !config.profiles.values().any(asks) {
            found.warning(
                format!("keys.{name}"),
                "no profile asks for these keys".to_owned(),
                "name it as `keys` in a profile's protection, or remove it",
            );
        }
    }
}

fn check_keys(
    config: &Config,
    protection: &Protection,
    key: &dyn Fn(&str) -> String,
    found: &mut Findings,
) {
    let Some(name) = &protection.keys else {
        found.error(
            key("keys"),
            format!("scheme = \"{}\" without keys", protection.scheme.as_str()),
            "name one of [keys.<name>]",
        );
        return;
    };
    if !config.keys.contains_key(name) {
        found.error(
            key("keys"),
            format!("there is no [keys.{name}]"),
            "write it, or name one that is there",
        );
    }
}

/// Segments encrypted whole: DASH has no word for them, and no licence system.
fn check_whole(
    config: &Config,
    profile: &Profile,
    key: &dyn Fn(&str) -> String,
    found: &mut Findings,
) {
    let protection = &profile.protection;
    if profile.offers(Format::Dash) {
        found.error(
            key("scheme"),
            "\"aes-128\" is for HLS alone, and the profile offers \"dash\"".to_owned(),
            "write formats = [\"hls\"], or scheme = \"cbcs\"",
        );
    }
    if let Some(system) = protection.systems.first() {
        found.error(
            key("systems"),
            format!("\"{}\" knows nothing of scheme = \"aes-128\"", system.as_str()),
            "remove it, or write scheme = \"cbcs\"",
        );
    }
    if !protection.deliver_keys {
        found.error(
            key("deliver_keys"),
            "scheme = \"aes-128\", and nobody hands its keys out".to_owned(),
            "write deliver_keys = true, and protect the profile with access.enforced_by",
        );
    }
    let provider = protection.keys.as_ref().and_then(|name| config.keys.get(name));
    if provider.is_some_and(|provider| provider.provider == ProviderKind::Cpix) {
        found.error(
            key("keys"),
            "a key server has no keys for scheme = \"aes-128\"".to_owned(),
            "write a provider that is \"derived\" or \"static\"",
        );
    }
}

fn check_systems(profile: &Profile, key: &dyn Fn(&str) -> String, found: &mut Findings) {
    let Protection { scheme, systems, .. } = &profile.protection;
    if systems.is_empty() {
        found.error(
            key("systems"),
            "no player is told how to come by a key".to_owned(),
            "name at least one of widevine, playready, fairplay, clearkey and common",
        );
    }
    if let Some((at, twice)) =
        systems.iter().enumerate().find(|(at, system)| systems[..*at].contains(system))
    {
        found.error(
            key("systems"),
            format!("\"{}\" stands there twice, the second time at {at}", twice.as_str()),
            "remove one",
        );
    }
    if *scheme == Scheme::Cenc && systems.contains(&System::Fairplay) {
        found.error(
            key("systems"),
            "\"fairplay\" knows scheme = \"cbcs\" alone".to_owned(),
            "write scheme = \"cbcs\", or remove it",
        );
    }
    for system in systems {
        if !profile.formats.iter().any(|format| system.is_told_by(*format)) {
            found.error(
                key("systems"),
                format!("no format of this profile can speak to \"{}\"", system.as_str()),
                "add the format that can (\"hls\" for fairplay, \"dash\" for common), or remove it",
            );
        }
    }
    for (format, word) in [(Format::Hls, "hls"), (Format::Dash, "dash")] {
        let is_mute = !systems.iter().any(|system| system.is_told_by(format));
        // Where no format can speak to a system, that was said above.
        let is_told = systems.iter().any(|s| profile.formats.iter().any(|f| s.is_told_by(*f)));
        if profile.offers(format) && is_mute && is_told {
            found.warning(
                key("systems"),
                format!("\"{word}\" is offered and can speak to none of them"),
                "add a system that it can speak to, or offer only the other format",
            );
        }
    }
}

fn check_addresses(protection: &Protection, key: &dyn Fn(&str) -> String, found: &mut Findings) {
    for (name, url, system) in [
        ("playready_la_url", &protection.playready_la_url, System::Playready),
        ("widevine_la_url", &protection.widevine_la_url, System::Widevine),
        ("clearkey_la_url", &protection.clearkey_la_url, System::Clearkey),
    ] {
        if url.is_some() && !protection.systems.contains(&system) {
            found.warning(
                key(name),
                format!("is not used: \"{}\" is none of the systems", system.as_str()),
                "add it to systems, or remove the address",
            );
        }
    }
}

fn check_delivery(profile: &Profile, key: &dyn Fn(&str) -> String, found: &mut Findings) {
    let protection = &profile.protection;
    if let Some(drm) = protection.systems.iter().find(|system| system.is_drm())
        && protection.gives_keys_away()
    {
        let (name, what) = match protection.deliver_keys {
            true => ("deliver_keys", "deliver_keys = true"),
            false => ("systems", "\"clearkey\""),
        };
        found.error(
            key(name),
            format!("{what} gives away the keys that \"{}\" keeps from viewers", drm.as_str()),
            "make two profiles of it, each with a key domain of its own",
        );
    }
    if protection.deliver_keys && profile.access.enforced_by == EnforcedBy::None {
        found.warning(
            key("deliver_keys"),
            "keys are handed to whoever asks: access.enforced_by is \"none\"".to_owned(),
            "protect the profile with \"origin\" or \"cdn\"",
        );
    }
}

fn check_periods(profile: &Profile, key: &dyn Fn(&str) -> String, found: &mut Findings) {
    let key_period_s = &profile.protection.key_period_s;
    if *key_period_s == 0 {
        return;
    }
    let segment_ms = profile.segment_ms;
    if u64::from(*key_period_s) * 1_000 < u64::from(segment_ms) {
        found.error(
            key("key_period_s"),
            format!("{key_period_s} s is shorter than a segment (segment_ms = {segment_ms})"),
            "write more, or 0 for keys that never change",
        );
    }
}

/// Keys of single sessions: who a viewer is stands in a token, and nothing is shared.
fn check_scope(
    config: &Config,
    profile: &Profile,
    key: &dyn Fn(&str) -> String,
    found: &mut Findings,
) {
    let protection = &profile.protection;
    if !protection.is_of_sessions() {
        return;
    }
    if profile.access.enforced_by != EnforcedBy::Origin {
        found.error(
            key("key_scope"),
            "\"session\" with access.enforced_by that is not \"origin\": no token says whose session it is, or a CDN would share what it is".to_owned(),
            "write access.enforced_by = \"origin\", or key_scope = \"title\"",
        );
    }
    if profile.cdn_cache_control {
        found.error(
            key("key_scope"),
            "\"session\" with cdn_cache_control = true: no cache may keep what is one viewer's"
                .to_owned(),
            "write cdn_cache_control = false",
        );
    }
    let provider = protection.keys.as_ref().and_then(|name| config.keys.get(name));
    if provider.is_some_and(|provider| provider.provider == ProviderKind::Static) {
        found.error(
            key("keys"),
            "a file has no keys for single sessions".to_owned(),
            "write a provider that is \"derived\" or \"cpix\", or key_scope = \"title\"",
        );
    }
}

/// Players keep a key under its address: what two keys share finds one of them.
fn check_fairplay(profile: &Profile, key: &dyn Fn(&str) -> String, found: &mut Findings) {
    let Protection { key_period_s, systems, fairplay_uri, .. } = &profile.protection;
    let never_change = *key_period_s == 0 && !profile.protection.is_of_sessions();
    let is_told = systems.contains(&System::Fairplay);
    let is_own = fairplay_uri.names_key() || (never_change && fairplay_uri.names_label());
    if is_told && !is_own {
        found.error(
            key("fairplay_uri"),
            format!("\"{fairplay_uri}\" is the same for several keys of a title"),
            "put {kid} into it, or where keys never change {title} and {label}",
        );
    }
}

/// A profile that encrypts, and what its keys follow from.
struct Domain<'a> {
    profile: &'a Name,
    protection: &'a Protection,
    name: &'a Name,
    /// The file, where keys follow from it and not from the domain.
    file: Option<&'a SecretSource>,
}

fn check_domains(config: &Config, found: &mut Findings) {
    let mut seen: Vec<Domain<'_>> = Vec::new();
    for (profile, settings) in &config.profiles {
        let protection = &settings.protection;
        if !protection.is_on() {
            continue;
        }
        let provider = protection.keys.as_ref().and_then(|name| config.keys.get(name));
        let file = provider.filter(|provider| provider.provider == ProviderKind::Static);
        let file = file.and_then(|provider| provider.file.as_ref());
        let this = Domain { profile, protection, name: protection.domain(profile), file };
        for other in &seen {
            check_pair(other, &this, found);
        }
        seen.push(this);
    }
}

fn check_pair(one: &Domain<'_>, two: &Domain<'_>, found: &mut Findings) {
    let is_one_file = one.file.is_some() && one.file == two.file;
    if one.name != two.name && !is_one_file {
        return;
    }
    let (key, what) = match is_one_file {
        true => ("keys", "the same file of keys".to_owned()),
        false => ("key_domain", format!("the key domain \"{}\"", two.name)),
    };
    let leaks = |kept: &Protection, given: &Protection| kept.has_drm() && given.gives_keys_away();
    let pair = (one.protection, two.protection);
    let and = if leaks(pair.0, pair.1) || leaks(pair.1, pair.0) {
        ", and one of the two gives away keys that the other keeps from viewers"
    } else {
        ""
    };
    found.error(
        format!("profiles.{}.protection.{key}", two.profile),
        format!("{what} is profiles.{}'s{and}", one.profile),
        "let each profile have keys of its own: another domain, or another file",
    );
}

fn check_provider(name: &Name, provider: &KeyProvider, found: &mut Findings) {
    let key = |key: &str| format!("keys.{name}.{key}");
    let kind = provider.provider;
    for (setting, is_set, owner) in [
        ("master", provider.master.is_some(), ProviderKind::Derived),
        ("file", provider.file.is_some(), ProviderKind::Static),
        ("url", provider.url.is_some(), ProviderKind::Cpix),
    ] {
        if owner == kind && !is_set {
            found.error(
                key(setting),
                format!("provider = \"{}\" without it", kind.as_str()),
                "say where it is, or write another provider",
            );
        } else if owner != kind && is_set {
            found.error(
                key(setting),
                format!("provider = \"{}\" does not look at it", kind.as_str()),
                "remove it, or write another provider",
            );
        }
    }
    if kind != ProviderKind::Cpix && !provider.header_secrets.is_empty() {
        found.error(
            key("header_secrets"),
            format!("provider = \"{}\" sends them to nobody", kind.as_str()),
            "remove them, or write provider = \"cpix\"",
        );
    }
    let Some(url) = provider.url.as_ref().filter(|url| !url.has_tls()) else { return };
    if !url.is_near() {
        let host = url.authority();
        found.warning(key("url"), format!("keys travel from {host} without TLS"), "write https://");
    }
    if let Some(file) = provider.ca_file() {
        found.warning(
            key("ca_file"),
            format!("{} is not used: the url is no https:// address", file.display()),
            "make it one, or remove ca_file",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(toml: &str) -> Vec<String> {
        let config: Config = toml::from_str(toml).expect("good keys");
        config.check().iter().map(ToString::to_string).collect()
    }

    /// A profile `p` that is told to differ from one that is right, and its provider.
    fn one(settings: &str) -> String {
        format!("[profiles.p.protection]\nkeys = \"k\"\n{settings}\n[keys.k]\nmaster = \"env:A\"\n")
    }

    #[test]
    fn what_is_found_within_a_profile() {
        let table = [
            ("right", one("scheme = \"cbcs\"\nsystems = [\"widevine\", \"fairplay\"]"), ""),
            ("right, in clear", one("scheme = \"cenc\"\nsystems = [\"clearkey\", \"common\"]"), ""),
            (
                "nothing to protect",
                one("systems = [\"common\"]"),
                "warning: `profiles.p.protection.scheme`: \"none\" encrypts nothing, and the settings beside it have no effect; write \"cbcs\", \"cenc\" or \"aes-128\", or remove them",
            ),
            (
                "no keys",
                "[profiles.p.protection]\nscheme = \"cenc\"\nsystems = [\"clearkey\"]".to_owned(),
                "error: `profiles.p.protection.keys`: scheme = \"cenc\" without keys; name one of [keys.<name>]",
            ),
            (
                "keys that are not there",
                "[profiles.p.protection]\nscheme = \"cenc\"\nsystems = [\"clearkey\"]\nkeys = \"k\""
                    .to_owned(),
                "error: `profiles.p.protection.keys`: there is no [keys.k]; write it, or name one that is there",
            ),
            (
                "no system",
                one("scheme = \"cbcs\""),
                "error: `profiles.p.protection.systems`: no player is told how to come by a key; name at least one of widevine, playready, fairplay, clearkey and common",
            ),
            (
                "one twice",
                one("scheme = \"cbcs\"\nsystems = [\"widevine\", \"widevine\"]"),
                "error: `profiles.p.protection.systems`: \"widevine\" stands there twice, the second time at 1; remove one",
            ),
            (
                "fairplay with cenc",
                one("scheme = \"cenc\"\nsystems = [\"widevine\", \"fairplay\"]"),
                "error: `profiles.p.protection.systems`: \"fairplay\" knows scheme = \"cbcs\" alone; write scheme = \"cbcs\", or remove it",
            ),
            (
                "a format that can say nothing",
                one("scheme = \"cbcs\"\nsystems = [\"fairplay\"]"),
                "warning: `profiles.p.protection.systems`: \"dash\" is offered and can speak to none of them; add a system that it can speak to, or offer only the other format",
            ),
            (
                "an address for nobody",
                one(
                    "scheme = \"cbcs\"\nsystems = [\"widevine\"]\nplayready_la_url = \"https://a/\"",
                ),
                "warning: `profiles.p.protection.playready_la_url`: is not used: \"playready\" is none of the systems; add it to systems, or remove the address",
            ),
            (
                "periods shorter than segments",
                one("scheme = \"cbcs\"\nsystems = [\"widevine\"]\nkey_period_s = 5"),
                "error: `profiles.p.protection.key_period_s`: 5 s is shorter than a segment (segment_ms = 6000); write more, or 0 for keys that never change",
            ),
            (
                "periods as short as they may be",
                one("scheme = \"cbcs\"\nsystems = [\"widevine\", \"fairplay\"]\nkey_period_s = 6"),
                "",
            ),
            (
                "FairPlay's keys without a name",
                one("scheme = \"cbcs\"\nsystems = [\"widevine\", \"fairplay\"]\nfairplay_uri = \"skd://{title}\""),
                "error: `profiles.p.protection.fairplay_uri`: \"skd://{title}\" is the same for several keys of a title; put {kid} into it, or where keys never change {title} and {label}",
            ),
            (
                "FairPlay's keys by title and label, which change",
                one("scheme = \"cbcs\"\nsystems = [\"widevine\", \"fairplay\"]\nkey_period_s = 60\nfairplay_uri = \"skd://{title}/{label}\""),
                "error: `profiles.p.protection.fairplay_uri`: \"skd://{title}/{label}\" is the same for several keys of a title; put {kid} into it, or where keys never change {title} and {label}",
            ),
            (
                "FairPlay's keys by title and label",
                one("scheme = \"cbcs\"\nsystems = [\"widevine\", \"fairplay\"]\nfairplay_uri = \"skd://{title}/{label}\""),
                "",
            ),
            (
                "keys of sessions nobody asks for",
                one("scheme = \"cbcs\"\nsystems = [\"widevine\"]\nkey_scope = \"session\""),
                "error: `profiles.p.protection.key_scope`: \"session\" with access.enforced_by that is not \"origin\": no token says whose session it is, or a CDN would share what it is; write access.enforced_by = \"origin\", or key_scope = \"title\"",
            ),
            (
                "keys given away under a DRM",
                one("scheme = \"cbcs\"\nsystems = [\"playready\", \"clearkey\"]"),
                "error: `profiles.p.protection.systems`: \"clearkey\" gives away the keys that \"playready\" keeps from viewers; make two profiles of it, each with a key domain of its own",
            ),
            (
                "keys for everybody",
                one("scheme = \"cbcs\"\nsystems = [\"clearkey\"]\ndeliver_keys = true"),
                "warning: `profiles.p.protection.deliver_keys`: keys are handed to whoever asks: access.enforced_by is \"none\"; protect the profile with \"origin\" or \"cdn\"",
            ),
        ];
        for (name, toml, wanted) in table {
            let mut got = found(&toml);
            // In a table of one finding each: where there are no keys, nobody uses [keys.k] either.
            got.retain(|line| !line.contains("`keys.k`"));
            assert_eq!(got.join("\n"), wanted, "{name}");
        }
        let both = found(&one("scheme = \"cbcs\"\nsystems = [\"widevine\"]\ndeliver_keys = true"))
            .join("\n");
        let said = "error: `profiles.p.protection.deliver_keys`: deliver_keys = true gives away the keys that \"widevine\" keeps from viewers";
        assert!(both.starts_with(said), "{both}");
    }

    #[test]
    fn whole_segments_are_for_hls_and_keys_that_are_handed_out() {
        let of = |formats: &str, settings: &str, provider: &str| {
            let access = "[profiles.p.access]\nenforced_by = \"origin\"\n";
            let toml = format!(
                "[profiles.p]\nformats = [{formats}]\n{access}[profiles.p.protection]\n\
                 scheme = \"aes-128\"\nkeys = \"k\"\n{settings}\n[keys.k]\n{provider}\n"
            );
            let mut got = found(&toml);
            got.retain(|line| line.contains(".protection."));
            got.join("\n")
        };
        let (hls, given, master) = ("\"hls\"", "deliver_keys = true", "master = \"env:A\"");
        let table = [
            (hls, given, master, ""),
            (
                "\"hls\", \"dash\"",
                given,
                master,
                "error: `profiles.p.protection.scheme`: \"aes-128\" is for HLS alone, and the profile offers \"dash\"; write formats = [\"hls\"], or scheme = \"cbcs\"",
            ),
            (
                hls,
                "deliver_keys = true\nsystems = [\"clearkey\"]",
                master,
                "error: `profiles.p.protection.systems`: \"clearkey\" knows nothing of scheme = \"aes-128\"; remove it, or write scheme = \"cbcs\"",
            ),
            (
                hls,
                "",
                master,
                "error: `profiles.p.protection.deliver_keys`: scheme = \"aes-128\", and nobody hands its keys out; write deliver_keys = true, and protect the profile with access.enforced_by",
            ),
            (
                hls,
                given,
                "provider = \"cpix\"\nurl = \"https://a/\"",
                "error: `profiles.p.protection.keys`: a key server has no keys for scheme = \"aes-128\"; write a provider that is \"derived\" or \"static\"",
            ),
        ];
        for (formats, settings, provider, wanted) in table {
            assert_eq!(of(formats, settings, provider), wanted, "{settings}");
        }
    }

    #[test]
    fn systems_want_a_format_that_can_speak_to_them() {
        for (format, system) in [("dash", "fairplay"), ("hls", "common")] {
            let toml = one(&format!("scheme = \"cbcs\"\nsystems = [\"{system}\"]"));
            let got = found(&format!("[profiles.p]\nformats = [\"{format}\"]\n{toml}"));
            let said = format!(
                "error: `profiles.p.protection.systems`: no format of this profile can speak to \"{system}\""
            );
            assert!(got.len() == 1 && got[0].starts_with(&said), "{got:?}");
        }
    }

    /// Two profiles `a` and `b` with these settings and providers.
    fn two(a: &str, b: &str, providers: &str) -> String {
        let profile = |name: &str, settings: &str| {
            format!("[profiles.{name}.protection]\nscheme = \"cbcs\"\n{settings}\n")
        };
        profile("a", a) + &profile("b", b) + providers
    }

    #[test]
    fn keys_that_one_profile_keeps_secret_are_given_away_by_no_other() {
        let master = "[keys.k]\nmaster = \"env:A\"\n";
        let file = "[keys.k]\nprovider = \"static\"\nfile = \"env:A\"\n";
        let files = format!("{file}[keys.l]\nprovider = \"static\"\nfile = \"env:A\"\n");
        let drm = "systems = [\"widevine\"]\n";
        let open = "systems = [\"clearkey\"]\n";
        let k = "keys = \"k\"\n";
        let leak = ", and one of the two gives away keys that the other keeps from viewers";
        let remedy = "; let each profile have keys of its own: another domain, or another file";
        let domain = |name: &str, and: &str| {
            format!(
                "error: `profiles.b.protection.key_domain`: the key domain \"{name}\" is profiles.a's{and}{remedy}"
            )
        };
        let same_file = |and: &str| {
            format!(
                "error: `profiles.b.protection.keys`: the same file of keys is profiles.a's{and}{remedy}"
            )
        };
        let x = "key_domain = \"x\"\n";
        let table = [
            (
                "domains of their own",
                two(&(drm.to_owned() + k), &(open.to_owned() + k), master),
                None,
            ),
            (
                "one domain",
                two(&(drm.to_owned() + k + x), &(drm.to_owned() + k + x), master),
                Some(domain("x", "")),
            ),
            (
                "one domain, given away",
                two(&(drm.to_owned() + k + x), &(open.to_owned() + k + x), master),
                Some(domain("x", leak)),
            ),
            (
                "given away first, and by the other's name",
                two(&(open.to_owned() + k), &(drm.to_owned() + k + "key_domain = \"a\"\n"), master),
                Some(domain("a", leak)),
            ),
            (
                "one file",
                two(&(drm.to_owned() + k), &(open.to_owned() + k), file),
                Some(same_file(leak)),
            ),
            (
                "one file under two names",
                two(&(drm.to_owned() + k), &(drm.to_owned() + "keys = \"l\"\n"), &files),
                Some(same_file("")),
            ),
        ];
        for (name, toml, wanted) in table {
            let mut got = found(&toml);
            // FairPlay aside, both formats are spoken to.
            got.retain(|line| line.starts_with("error"));
            assert_eq!(got, wanted.into_iter().collect::<Vec<_>>(), "{name}");
        }
    }

    #[test]
    fn what_is_found_of_a_provider() {
        let of = |settings: &str| {
            let profile = "[profiles.p.protection]\nscheme = \"cbcs\"\nsystems = [\"common\", \"clearkey\"]\nkeys = \"k\"\n";
            found(&format!("{profile}[keys.k]\n{settings}\n")).join("\n")
        };
        let table = [
            ("provider = \"static\"\nfile = \"env:A\"", ""),
            ("provider = \"cpix\"\nurl = \"https://a/\"", ""),
            ("provider = \"cpix\"\nurl = \"http://127.0.0.1:9/\"", ""),
            (
                "",
                "error: `keys.k.master`: provider = \"derived\" without it; say where it is, or write another provider",
            ),
            (
                "provider = \"static\"\nfile = \"env:A\"\nmaster = \"env:B\"",
                "error: `keys.k.master`: provider = \"static\" does not look at it; remove it, or write another provider",
            ),
            (
                "master = \"env:A\"\nheader_secrets = [{ name = \"x-a\", secret = \"env:B\" }]",
                "error: `keys.k.header_secrets`: provider = \"derived\" sends them to nobody; remove them, or write provider = \"cpix\"",
            ),
            (
                "provider = \"cpix\"\nurl = \"http://keys.example/\"",
                "warning: `keys.k.url`: keys travel from keys.example without TLS; write https://",
            ),
            (
                "provider = \"cpix\"\nurl = \"http://localhost.example:80/\"",
                "warning: `keys.k.url`: keys travel from localhost.example:80 without TLS; write https://",
            ),
            (
                "provider = \"cpix\"\nurl = \"http://localhost/\"\nca_file = \"a.pem\"",
                "warning: `keys.k.ca_file`: a.pem is not used: the url is no https:// address; make it one, or remove ca_file",
            ),
        ];
        for (settings, wanted) in table {
            assert_eq!(of(settings), wanted, "{settings}");
        }
        assert_eq!(
            found("[keys.k]\nmaster = \"env:A\"\n"),
            [
                "warning: `keys.k`: no profile asks for these keys; name it as `keys` in a profile's protection, or remove it"
            ]
        );
    }
}
