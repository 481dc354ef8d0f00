//! Header fields that hold lists (RFC 9110 5.6): members, quoted strings and weights. They came
//! from anybody: nothing is copied, and whoever reads a list bounds how much of it is read.

/// The members of a list, in order, without the white space around them. Commas inside quoted
/// strings separate nothing; empty members are left out.
pub fn members(list: &str) -> impl Iterator<Item = &str> {
    between(list, ',').filter(|member| !member.is_empty())
}

/// A member's parts between semicolons: its value, then its parameters.
pub fn parts(member: &str) -> impl Iterator<Item = &str> {
    between(member, ';')
}

/// The text within quotes, if there are any. What a backslash stands before keeps it: nothing
/// that is looked for here ever needs one.
pub fn unquote(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}

/// A weight in thousandths (12.4.2): `0`, `1`, or either with at most three decimals.
pub fn weight(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = decimals.bytes().all(|b| b.is_ascii_digit());
    if !matches!(whole, "0" | "1") || decimals.len() > 3 || !digits {
        return None;
    }
    let thousandths = [100, 10, 1].into_iter().zip(decimals.bytes());
    let fraction: u16 = thousandths.map(|(unit, digit)| unit * u16::from(digit - b'0')).sum();
    let weight = u16::from(whole == "1") * 1000 + fraction;
    (weight <= 1000).then_some(weight)
}

/// What stands between separators outside of quoted strings (5.6.4), trimmed.
fn between(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (part, after) = match separator_at(text, separator) {
            Some(at) => (&text[..at], Some(&text[at + separator.len_utf8()..])),
            None => (text, None),
        };
        rest = after;
        Some(part.trim_matches([' ', '\t']))
    })
}

fn separator_at(text: &str, separator: char) -> Option<usize> {
    let (mut inside, mut escaped) = (false, false);
    text.char_indices().find_map(|(at, c)| {
        let found = c == separator && !inside;
        match c {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => inside = !inside,
            _ => {}
        }
        found.then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_as_they_come() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            (" , ,\t", &[]),
            ("a", &["a"]),
            ("a,b , \tc", &["a", "b", "c"]),
            ("a, ,b", &["a", "b"]),
            ("for=\"[2001:db8::1]:80, x\", b", &["for=\"[2001:db8::1]:80, x\"", "b"]),
            ("\"a\\\",b\",c", &["\"a\\\",b\"", "c"]),
            ("\"never closed, b", &["\"never closed, b"]),
        ];
        for (list, wanted) in cases {
            assert_eq!(members(list).collect::<Vec<_>>(), *wanted, "{list}");
        }
        let of = |member| parts(member).collect::<Vec<_>>();
        assert_eq!(of("gzip;q=0.5"), ["gzip", "q=0.5"]);
        assert_eq!(of("a ; b=\"x;y\" ;c"), ["a", "b=\"x;y\"", "c"]);
        assert_eq!((unquote("\"a\""), unquote("a\""), unquote("\"")), ("a", "a\"", "\""));
    }

    #[test]
    fn weights() {
        let good = [("0", 0), ("1", 1000), ("0.", 0), ("0.5", 500), ("0.001", 1), ("1.000", 1000)];
        for (text, wanted) in good {
            assert_eq!(weight(text), Some(wanted), "{text}");
        }
        for text in ["", "2", "01", "1.001", "0.0001", "-0", "0.x", ".5", "1e0", " 1"] {
            assert_eq!(weight(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn without_quotes_a_list_is_split_at_each_comma(list in "[a-z ,;=]{0,40}") {
            let plain: Vec<_> =
                list.split(',').map(|m| m.trim_matches(' ')).filter(|m| !m.is_empty()).collect();
            prop_assert_eq!(members(&list).collect::<Vec<_>>(), plain);
        }
    }
}
