//! What a run must hold: `p99_ttfb_ms<20`. A name, a comparison, a number.

use std::fmt;
use std::str::FromStr;

/// How a figure is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    AtMost,
    AtLeast,
    Below,
    Above,
    Equal,
    Unequal,
}

/// As written; longer ones stand before their beginnings.
const RELATIONS: [(&str, Relation); 7] = [
    ("<=", Relation::AtMost),
    (">=", Relation::AtLeast),
    ("==", Relation::Equal),
    ("!=", Relation::Unequal),
    ("<", Relation::Below),
    (">", Relation::Above),
    ("=", Relation::Equal),
];

/// One assertion.
#[derive(Clone, Debug, PartialEq)]
pub struct Assertion {
    /// The figure's name.
    pub name: String,
    relation: Relation,
    wanted: f64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Checked {
    /// As it was written.
    pub assertion: String,
    /// What was measured; nothing if there is no such figure, or nothing to make it from.
    pub got: Option<f64>,
    /// Whether it holds. What could not be measured does not.
    pub held: bool,
}

impl Assertion {
    /// `name` must be this number exactly.
    pub fn equal(name: &str, wanted: f64) -> Self {
        Self { name: name.to_owned(), relation: Relation::Equal, wanted }
    }

    /// Compares it with what was measured.
    pub fn check(&self, got: Option<f64>) -> Checked {
        Checked {
            assertion: self.to_string(),
            got,
            held: got.is_some_and(|got| self.relation.holds(got, self.wanted)),
        }
    }
}

impl Relation {
    #[expect(clippy::float_cmp, reason = "counts are whole, and equality is what was asked for")]
    fn holds(self, got: f64, wanted: f64) -> bool {
        match self {
            Self::AtMost => got <= wanted,
            Self::AtLeast => got >= wanted,
            Self::Below => got < wanted,
            Self::Above => got > wanted,
            Self::Equal => got == wanted,
            Self::Unequal => got != wanted,
        }
    }
}

impl FromStr for Assertion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            Err(format!(
                "`{text}`: {what}; expected a figure, one of < <= > >= == != and a number, as in \
                 p99_ttfb_ms<20"
            ))
        };
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let text_only: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (name, rest) =
            text_only.split_at(text_only.find(|c| !is_name(c)).unwrap_or(text_only.len()));
        if name.is_empty() {
            return wrong("no figure's name");
        }
        let found = RELATIONS
            .iter()
            .find_map(|(sign, relation)| rest.strip_prefix(sign).map(|number| (*relation, number)));
        let Some((relation, number)) = found else { return wrong("no comparison") };
        match number.parse::<f64>() {
            Ok(wanted) if wanted.is_finite() => {
                Ok(Self { name: name.to_owned(), relation, wanted })
            }
            _ => wrong("no number"),
        }
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = RELATIONS.iter().find(|(_, relation)| *relation == self.relation);
        write!(f, "{}{}{}", self.name, sign.map_or("", |(sign, _)| sign), self.wanted)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_holds() {
        let table = [
            ("p99_ttfb_ms<20", 19.9, true),
            ("p99_ttfb_ms<20", 20.0, false),
            ("p99_ttfb_ms <= 20", 20.0, true),
            ("failed==0", 0.0, true),
            ("failed=0", 1.0, false),
            ("failed!=0", 1.0, true),
            ("rate_per_s>=1e3", 1000.0, true),
            ("rate_per_s>1e3", 1000.0, false),
        ];
        for (text, got, held) in table {
            let checked = text.parse::<Assertion>().unwrap().check(Some(got));
            assert_eq!(checked.held, held, "{text} of {got}");
        }
    }

    #[test]
    fn what_was_not_measured_does_not_hold() {
        for text in ["failed==0", "failed!=0"] {
            assert!(!text.parse::<Assertion>().unwrap().check(None).held, "{text}");
        }
    }

    #[test]
    fn what_is_refused() {
        for (text, why) in [
            ("", "no figure's name"),
            ("<20", "no figure's name"),
            ("p99", "no comparison"),
            ("p99~20", "no comparison"),
            ("p99<", "no number"),
            ("p99<20ms", "no number"),
            ("p99<nan", "no number"),
            ("p99<<2", "no number"),
        ] {
            let error = text.parse::<Assertion>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn prints_what_parses(name in "[a-z][a-z0-9_]{0,12}", sign in 0_usize..7, wanted in -1e9..1e9_f64) {
            let text = format!("{name}{}{wanted}", RELATIONS[sign].0);
            let assertion: Assertion = text.parse().unwrap();
            prop_assert_eq!(assertion.to_string().parse::<Assertion>().unwrap(), assertion);
        }
    }
}
