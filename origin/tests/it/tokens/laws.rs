//! What holds for every token.

use std::sync::Arc;

use headwater_origin::access::child::Parent;
use headwater_origin::access::key::{Key, Keys, Secret};
use headwater_origin::access::policy::{Asked, Enforcer, Only, Policy, Span, Thing};
use headwater_origin::access::scope::PathScope;
use headwater_origin::access::{base64url, compact, jwt};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::issue::{K1, NOW_S, Pairs, asked, compact_with, outcome, outcome_at, parse};

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn secret() -> Secret {
    Secret::new(K1).unwrap()
}

fn keys() -> Keys {
    let mut keys = Keys::default();
    keys.add("k1".parse().unwrap(), Key::Secret(secret()));
    keys
}

/// Every other character at every place, one at a time.
fn changes(token: &str) -> impl Iterator<Item = String> {
    (0..token.len()).flat_map(move |at| {
        let others = ALPHABET.chars().chain("=.~/+% ".chars());
        others.filter_map(move |other| {
            let mut changed = token.to_owned();
            changed.replace_range(at..=at, &other.to_string());
            (changed != token).then_some(changed)
        })
    })
}

#[test]
fn changing_any_character_refuses_a_token() {
    let pairs = Pairs::new();
    let keys = pairs.keys();
    let compact = compact_with(&[(1, b"main"), (3, b"/main/film/")]);
    let jwt = pairs.good_jwt("k1", r#"{"exp":1800003600,"hw_titles":["film"]}"#);
    for token in [compact, jwt] {
        assert_eq!(outcome(&token, &keys), "ok");
        for changed in changes(&token) {
            assert_ne!(outcome(&changed, &keys), "ok", "{changed}");
        }
        for cut in 0..token.len() {
            assert_ne!(outcome(&token[..cut], &keys), "ok", "{cut}");
            assert_ne!(outcome(&token[cut + 1..], &keys), "ok", "{cut}");
        }
    }
}

#[test]
fn changing_a_byte_refuses_a_token_of_a_public_key() {
    let pairs = Pairs::new();
    let keys = pairs.keys();
    for id in ["es", "ed"] {
        let token = pairs.good_jwt(id, r#"{"exp":1800003600,"hw_titles":["film"]}"#);
        assert_eq!(outcome(&token, &keys), "ok");
        for at in 0..token.len() {
            let other = if &token[at..=at] == "A" { "B" } else { "A" };
            let mut changed = token.clone();
            changed.replace_range(at..=at, other);
            assert_ne!(outcome(&changed, &keys), "ok", "{changed}");
        }
    }
}

/// A token for one URL, and any other character in that URL.
#[test]
fn changing_any_byte_of_the_signed_path_refuses_a_request() {
    let keys = keys();
    let path = asked().path;
    let title = path.find("/0193").unwrap();
    for (token, signed) in [
        (compact_with(&[(4, path.as_bytes())]), path.len()),
        (compact_with(&[(3, &path.as_bytes()[..title])]), title),
    ] {
        assert_eq!(outcome(&token, &keys), "ok");
        for at in 0..signed {
            for other in (0..=0x7f).map(char::from).filter(|other| !path[at..].starts_with(*other))
            {
                let mut changed = path.to_owned();
                changed.replace_range(at..=at, &other.to_string());
                let about = Asked { path: &changed, ..asked() };
                assert_eq!(outcome_at(&token, &keys, &about, NOW_S), "path_refused", "{changed:?}");
            }
            let about = Asked { path: &path[..at], ..asked() };
            assert_eq!(outcome_at(&token, &keys, &about, NOW_S), "path_refused", "cut at {at}");
        }
    }
}

fn only<T: Clone + std::fmt::Debug + 'static>(
    one: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Only<T>> {
    prop_oneof![Just(Only::Any), vec(one, 1..4).prop_map(Only::These)].boxed()
}

fn word<T>(pattern: &'static str) -> impl Strategy<Value = T>
where
    T: std::str::FromStr + std::fmt::Debug,
    T::Err: std::fmt::Debug,
{
    pattern.prop_map(|text: String| text.parse().unwrap())
}

fn path() -> impl Strategy<Value = PathScope> {
    let text = "(/[a-z]{1,3}){1,3}";
    prop_oneof![
        text.prop_map(|path| PathScope::under(&path).unwrap()),
        text.prop_map(|path| PathScope::url(&path).unwrap()),
        Just(PathScope::under("/").unwrap()),
    ]
}

prop_compose! {
    fn any_policy()(
        profiles in only(word("[a-z0-9-]{1,4}")),
        titles in only(word("[A-Za-z0-9._-]{1,4}\\*?")),
        mut paths in only(path()),
        max_height in option::of(any::<u32>()),
        labels in only(word("[A-Z]{1,4}")),
        span in (option::of(any::<u64>()), any::<u64>(), option::of(any::<u64>())),
        networks in only(prop_oneof![word("10\\.[0-9]\\.0\\.0/16"), word("2001:db8:[1-9]::/48")]),
        countries in only(word("[A-Z]{2}")),
        audiences in only(word("[a-z:/]{1,9}")),
        session in option::of(word("[a-z0-9-]{1,9}")),
        enforcer in option::of(prop_oneof![Just(Enforcer::Origin), Just(Enforcer::Cdn)]),
    ) -> Policy {
        // Both dialects name folders before URLs.
        if let Only::These(paths) = &mut paths {
            paths.sort_by_key(|path| matches!(path, PathScope::Url(_)));
        }
        Policy {
            key: "k1".parse().unwrap(),
            profiles, titles, paths, max_height, labels,
            span: Span { not_before_s: span.0, expires_s: span.1, renew_until_s: span.2 },
            networks, countries, audiences, session, enforcer,
        }
    }
}

proptest! {
    /// No restriction is lost or changed on its way through either dialect.
    #[test]
    fn what_is_signed_is_what_is_read(policy in any_policy()) {
        let keys = keys();
        prop_assert_eq!(compact::parse(&compact::sign(&policy, &secret()), &keys), Ok(policy.clone()));
        prop_assert_eq!(jwt::parse(&jwt::sign(&policy, &secret()), &keys), Ok(policy));
    }

    /// A compact token has one spelling.
    #[test]
    fn what_is_read_is_what_was_signed(policy in any_policy()) {
        let token = compact::sign(&policy, &secret());
        let read = compact::parse(&token, &keys()).unwrap();
        prop_assert_eq!(compact::sign(&read, &secret()), token);
    }

    /// Any change of what was signed for is refused.
    #[test]
    fn a_scope_holds(
        profile in "[a-z]{1,5}", title in "[a-z]{1,5}", session in "[a-z]{1,5}",
        country in "[A-Z]{2}", file in "[a-z]{1,5}",
    ) {
        let keys = keys();
        let token = compact_with(&[
            (1, b"main"), (2, b"film"), (4, b"/main/film/x"), (10, b"DE"), (12, b"s"),
        ]);
        let path = format!("/{profile}/{title}/{file}");
        let about = Asked {
            path: &path, profile: &profile, title: &title, session: Some(&session),
            country: Some(&country), ..asked()
        };
        let same = (profile.as_str(), title.as_str(), session.as_str(), country.as_str(), file.as_str())
            == ("main", "film", "s", "DE", "x");
        prop_assert_eq!(outcome_at(&token, &keys, &about, NOW_S) == "ok", same);
    }

    /// Nothing that comes from outside is more than refused.
    #[test]
    fn any_text_is_refused(token in "\\PC{0,80}", tail in "[A-Za-z0-9_-]{0,80}") {
        let keys = keys();
        prop_assert!(parse(&token, &keys).is_err());
        prop_assert!(parse(&tail, &keys).is_err());
        let version = base64url::encode(&[1, 2, b'k', b'1']);
        let begun_well = format!("{version}{tail}");
        prop_assert!(parse(&begun_well, &keys).is_err());
    }
}

proptest! {
    /// A child opens nothing that its parent does not, but for what a single URL leads to, and not
    /// for longer than the parent's issuer allows.
    #[test]
    fn a_child_is_never_wider_or_longer_than_its_parent(
        parent in any_policy(), single in any::<bool>(), now_s in any::<u64>(),
        renewal_s in 2..86_400u64, skew_s in 0..300u64,
        path in "(/[a-z]{1,2}){1,3}", title in "[a-c]{1,2}", height in any::<u32>(),
        label in "[A-C]{1,2}", country in "[A-C]{2}", session in "[a-c]{1,2}", cdn in any::<bool>(),
    ) {
        let folder = PathScope::under("/a").unwrap();
        let renewed = parent.span.renewed(now_s, renewal_s);
        let expires_s = renewed.unwrap_or(parent.span.expires_s);
        let made = Parent { policy: Arc::new(parent.clone()), single, expires_s };
        let child = made.child("own".parse().unwrap(), &folder);
        let bound = parent.span.expires_s.max(parent.span.renew_until_s.unwrap_or(0));
        prop_assert!(child.span.expires_s <= bound);
        prop_assert!(renewed.is_none_or(|at_s| at_s <= now_s.saturating_add(renewal_s)));
        // What the parent would say were it for the folder, and for as long as may be.
        let mut wide = parent.clone();
        wide.span.expires_s = bound;
        if single {
            wide.paths = Only::These(vec![folder.clone()]);
        }
        let things =
            [Thing::Manifest, Thing::Track, Thing::Video(height), Thing::Sound, Thing::Key(&label)];
        for thing in things {
            let about = Asked {
                path: &path, title: &title, profile: "a", thing, country: Some(&country),
                session: Some(&session), audience: Some("a"),
                enforcer: if cdn { Enforcer::Cdn } else { Enforcer::Origin },
                ..asked()
            };
            for at_s in [now_s, bound.saturating_sub(1), bound.saturating_add(skew_s)] {
                if child.permits(&about, at_s, skew_s).is_ok() {
                    prop_assert_eq!(wide.permits(&about, at_s, skew_s), Ok(()));
                    prop_assert!(at_s < bound.saturating_add(skew_s));
                }
            }
        }
    }
}
