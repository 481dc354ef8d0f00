//! Why a request is refused, and how much of that its sender is told.
//!
//! ```text
//! what is told      to whom                                              status
//! access_refused    who is not the CDN                                   403
//! token_missing     no token came                                        401
//! token_expired     a token of ours whose time is over                   401
//! token_invalid     any other text that is no good token                 401
//! not_permitted     a good token that is not for this                    403
//! ```
//!
//! The reason itself goes to the metric and the access log: one that is told "wrong key" and
//! "wrong signature" apart learns which keys there are.

use std::fmt;

/// Why a request may not have what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No field with the CDN's secret.
    CdnSecretMissing,
    /// A field with another value.
    CdnSecretWrong,
    /// Several such fields: which of them the CDN sent cannot be known.
    CdnSecretRepeated,
    /// No token came, where one is needed.
    TokenMissing,
    /// More than one came.
    TwoTokens,
    /// It is no token: what is wrong with its form.
    TokenMalformed(&'static str),
    /// It is a token of an algorithm that its key is not for, or none.
    AlgorithmRefused,
    /// No key has its key id, or it names none.
    KeyUnknown,
    /// Its signature is not its key's.
    SignatureWrong,
    /// A claim that every token has is missing.
    ClaimMissing(Claim),
    /// A claim says something that it cannot say.
    ClaimMalformed(Claim),
    /// A claim restricts in a way that is not known here.
    ClaimUnsupported,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// The profile does not take tokens of this key.
    KeyRefused,
    /// It is for other profiles.
    ProfileRefused,
    /// It is for other titles.
    TitleRefused,
    /// It is for other paths.
    PathRefused,
    /// It is for this URL alone, which leads to others.
    SingleUrlOnManifest,
    /// It is for smaller pictures.
    HeightRefused,
    /// It is for other content keys.
    LabelRefused,
    /// It is for clients elsewhere in the network.
    NetworkRefused,
    /// It is for other countries.
    CountryRefused,
    /// It is for other services.
    AudienceRefused,
    /// It is for another session.
    SessionRefused,
    /// It wants somebody else to enforce it.
    EnforcerRefused,
}

/// What a claim is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Profiles.
    Profiles,
    /// Titles.
    Titles,
    /// Paths.
    Paths,
    /// The largest height.
    MaxHeight,
    /// Labels of content keys.
    Labels,
    /// The beginning.
    NotBefore,
    /// The end.
    Expires,
    /// Networks.
    Networks,
    /// Countries.
    Countries,
    /// Services that it is for.
    Audiences,
    /// The session.
    Session,
    /// Who enforces.
    Enforcer,
    /// The end of all renewals.
    RenewUntil,
}

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// `access_refused`
    AccessRefused,
    /// `token_missing`
    Missing,
    /// `token_expired`
    Expired,
    /// `token_invalid`
    Invalid,
    /// `not_permitted`
    NotPermitted,
}

impl Refusal {
    /// The word in the metric and the access log.
    pub fn reason(self) -> &'static str {
        match self {
            Self::CdnSecretMissing => "cdn_secret_missing",
            Self::CdnSecretWrong => "cdn_secret_wrong",
            Self::CdnSecretRepeated => "cdn_secret_repeated",
            Self::TokenMissing => "token_missing",
            Self::TwoTokens => "two_tokens",
            Self::TokenMalformed(_) => "token_malformed",
            Self::AlgorithmRefused => "algorithm_refused",
            Self::KeyUnknown => "key_unknown",
            Self::SignatureWrong => "signature_wrong",
            Self::ClaimMissing(_) => "claim_missing",
            Self::ClaimMalformed(_) => "claim_malformed",
            Self::ClaimUnsupported => "claim_unsupported",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::KeyRefused => "key_refused",
            Self::ProfileRefused => "profile_refused",
            Self::TitleRefused => "title_refused",
            Self::PathRefused => "path_refused",
            Self::SingleUrlOnManifest => "single_url_on_manifest",
            Self::HeightRefused => "height_refused",
            Self::LabelRefused => "label_refused",
            Self::NetworkRefused => "network_refused",
            Self::CountryRefused => "country_refused",
            Self::AudienceRefused => "audience_refused",
            Self::SessionRefused => "session_refused",
            Self::EnforcerRefused => "enforcer_refused",
        }
    }

    /// What the sender is told.
    pub fn told(self) -> Told {
        match self {
            Self::CdnSecretMissing | Self::CdnSecretWrong | Self::CdnSecretRepeated => {
                Told::AccessRefused
            }
            Self::TokenMissing => Told::Missing,
            Self::Expired => Told::Expired,
            Self::TwoTokens
            | Self::TokenMalformed(_)
            | Self::AlgorithmRefused
            | Self::KeyUnknown
            | Self::SignatureWrong
            | Self::ClaimMissing(_)
            | Self::ClaimMalformed(_)
            | Self::ClaimUnsupported
            | Self::NotYetValid => Told::Invalid,
            Self::KeyRefused
            | Self::ProfileRefused
            | Self::TitleRefused
            | Self::PathRefused
            | Self::SingleUrlOnManifest
            | Self::HeightRefused
            | Self::LabelRefused
            | Self::NetworkRefused
            | Self::CountryRefused
            | Self::AudienceRefused
            | Self::SessionRefused
            | Self::EnforcerRefused => Told::NotPermitted,
        }
    }
}

impl Told {
    /// Status, name and what the client can do.
    pub fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::AccessRefused => {
                (403, "access_refused", "this is not served to whoever asks here")
            }
            Self::Missing => (401, "token_missing", "a token is needed"),
            Self::Expired => (401, "token_expired", "the token's time is over; get another one"),
            Self::Invalid => (401, "token_invalid", "this is no token that is taken here"),
            Self::NotPermitted => (403, "not_permitted", "the token is not for this"),
        }
    }
}

impl Claim {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Profiles => "profiles",
            Self::Titles => "titles",
            Self::Paths => "paths",
            Self::MaxHeight => "largest height",
            Self::Labels => "labels of keys",
            Self::NotBefore => "beginning",
            Self::Expires => "expiry",
            Self::Networks => "networks",
            Self::Countries => "countries",
            Self::Audiences => "audiences",
            Self::Session => "session",
            Self::Enforcer => "enforcer",
            Self::RenewUntil => "end of renewals",
        }
    }
}

/// For the one who issues tokens: the reason, and what there is to say about it.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = match self {
            Self::CdnSecretMissing => "the CDN's header field is missing",
            Self::CdnSecretWrong => "the CDN's header field has another value",
            Self::CdnSecretRepeated => "the CDN's header field stands twice",
            Self::TokenMissing => "the profile wants a token, and none came",
            Self::TwoTokens => "send one token, in one place",
            Self::TokenMalformed(why) => why,
            Self::AlgorithmRefused => "the token's algorithm is not its key's",
            Self::KeyUnknown => "no key with the token's key id is configured",
            Self::SignatureWrong => "the key with this id did not sign this token",
            Self::ClaimMissing(claim) => {
                return write!(f, "{}: no claim says the {}", self.reason(), claim.as_str());
            }
            Self::ClaimMalformed(claim) => {
                return write!(f, "{}: the claim on {} is wrong", self.reason(), claim.as_str());
            }
            Self::ClaimUnsupported => "a claim restricts in a way that is not known here",
            Self::Expired => "the token's time is over",
            Self::NotYetValid => "the token's time has not come",
            Self::KeyRefused => "the profile does not take this key's tokens",
            Self::ProfileRefused => "the token is for other profiles",
            Self::TitleRefused => "the token is for other titles",
            Self::PathRefused => "the token is for other paths",
            Self::SingleUrlOnManifest => {
                "the token is for this URL alone, and a manifest leads to others: name a folder"
            }
            Self::HeightRefused => "the token is for smaller pictures",
            Self::LabelRefused => "the token is for other content keys",
            Self::NetworkRefused => "the client is in none of the token's networks",
            Self::CountryRefused => "the client is in none of the token's countries",
            Self::AudienceRefused => "the token is for other services",
            Self::SessionRefused => "the token is for another session",
            Self::EnforcerRefused => "the token wants to be enforced by somebody else",
        };
        write!(f, "{}: {about}", self.reason())
    }
}
