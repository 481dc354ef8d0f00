//! Values on the command line, each refused with what was expected.

/// A number above 0.
pub fn positive(text: &str) -> Result<f64, String> {
    number(text).filter(|value| *value > 0.0).ok_or_else(|| "expected a number above 0".to_owned())
}

/// A number that is not negative.
pub fn not_negative(text: &str) -> Result<f64, String> {
    number(text)
        .filter(|value| *value >= 0.0)
        .ok_or_else(|| "expected a number, 0 or more".to_owned())
}

/// A number from 0 to 1.
pub fn share(text: &str) -> Result<f64, String> {
    let value = number(text).filter(|value| (0.0..=1.0).contains(value));
    value.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

/// `5` or `1..20`: a span of positive numbers.
pub fn span(text: &str) -> Result<(f64, f64), String> {
    let wrong = || "expected a number above 0, or two as in 1..20".to_owned();
    let (low, high) = text.split_once("..").unwrap_or((text, text));
    let (low, high) = (positive(low).map_err(|_| wrong())?, positive(high).map_err(|_| wrong())?);
    if low <= high { Ok((low, high)) } else { Err(wrong()) }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken() {
        for (text, wanted) in [
            ("5", Some((5.0, 5.0))),
            ("1..20", Some((1.0, 20.0))),
            ("0.5..1.5", Some((0.5, 1.5))),
            ("0..5", None),
            ("5..1", None),
            ("a", None),
            ("inf", None),
        ] {
            assert_eq!(span(text).ok(), wanted, "{text}");
        }
        for (text, above, zero, part) in [
            ("0", false, true, true),
            ("0.5", true, true, true),
            ("2", true, true, false),
            ("-1", false, false, false),
            ("nan", false, false, false),
        ] {
            assert_eq!(
                (positive(text).is_ok(), not_negative(text).is_ok(), share(text).is_ok()),
                (above, zero, part),
                "{text}"
            );
        }
    }
}
