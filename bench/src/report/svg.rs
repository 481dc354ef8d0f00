//! Plots as SVG elements: lines over an axis, and dots with their interval. Colours are the page's
//! (`--c0`, `--c1`, ...), so that they follow its light or dark scheme.

use super::digits;
use crate::number::ratio;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;

/// How values become places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From 0 to the largest.
    Linear,
    /// By powers of ten.
    Log,
}

/// Points joined in their order.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// What it shows.
    pub name: &'a str,
    /// x and y.
    pub points: Vec<(f64, f64)>,
}

/// A plot of lines.
#[derive(Clone, Debug)]
pub struct Plot<'a> {
    /// What it shows, for those who cannot see it.
    pub title: &'a str,
    /// What x is.
    pub x: &'a str,
    /// What y is.
    pub y: &'a str,
    /// How y is scaled.
    pub scale: Scale,
    /// Places on x that are named; empty names round numbers.
    pub marks: Vec<(f64, String)>,
    /// What is drawn.
    pub lines: Vec<Line<'a>>,
}

impl Plot<'_> {
    /// The element; nothing where there is no point.
    pub fn render(&self) -> Option<String> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x_max = points().map(|(x, _)| *x).fold(f64::MIN_POSITIVE, f64::max);
        points().next()?;
        let y_axis = Axis::of(self.scale, points().map(|(_, y)| *y));
        let place = |x: f64| LEFT + (WIDTH - LEFT - RIGHT) * ratio(x, x_max);
        let height = |y: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y_axis.share(y);
        let mut svg = open(HEIGHT, self.title);
        for mark in y_axis.marks() {
            let y = height(mark);
            svg.push_str(&stroke("grid", [LEFT, y], [WIDTH - RIGHT, y], ""));
            svg.push_str(&text(LEFT - 6.0, y + 4.0, "end", &digits(mark)));
        }
        let round = || round_marks(x_max).into_iter().map(|at| (at, digits(at))).collect();
        let marks = if self.marks.is_empty() { round() } else { self.marks.clone() };
        for (at, name) in marks.iter().filter(|(at, _)| *at <= x_max) {
            let x = place(*at);
            svg.push_str(&stroke("grid", [x, TOP], [x, HEIGHT - BOTTOM], ""));
            svg.push_str(&text(x, HEIGHT - BOTTOM + 16.0, "middle", name));
        }
        for (n, line) in self.lines.iter().enumerate() {
            let at = |(x, y): &(f64, f64)| format!("{:.1},{:.1}", place(*x), height(*y));
            let points = line.points.iter().map(at).collect::<Vec<_>>().join(" ");
            let (colour, name) = (format!("stroke:var(--c{n})"), escaped(line.name));
            svg.push_str(&format!("<polyline style=\"{colour}\" points=\"{points}\">"));
            svg.push_str(&format!("<title>{name}</title></polyline>"));
        }
        svg.push_str(&text(WIDTH - RIGHT, HEIGHT - 6.0, "end", self.x));
        svg.push_str(&text(LEFT, HEIGHT - 6.0, "start", self.y));
        Some(svg + "</svg>" + &legend(&self.lines))
    }
}

/// Dots of one quantity in rows, each with its interval, around 1.
#[derive(Clone, Debug)]
pub struct Dots<'a> {
    /// What it shows.
    pub title: &'a str,
    /// Name, dots, median and interval of each row.
    pub rows: Vec<(&'a str, &'a [f64], [f64; 3])>,
    /// A limit of one row.
    pub limit: Option<(&'a str, f64)>,
}

impl Dots<'_> {
    /// The element; nothing where there is no row.
    pub fn render(&self) -> Option<String> {
        const ROW: f64 = 34.0;
        const NAMES: f64 = 150.0;
        let limit = self.limit.map(|(_, limit)| limit);
        let values = || self.rows.iter().flat_map(|(_, dots, _)| dots.iter().copied());
        let all = || values().chain(limit).chain([1.0]).filter(|value| value.is_finite());
        values().next()?;
        let (low, high) = (all().fold(f64::MAX, f64::min), all().fold(f64::MIN, f64::max));
        let margin = (high - low).max(0.02) * 0.08;
        let (low, high) = (low - margin, high + margin);
        let place = |value: f64| NAMES + (WIDTH - NAMES - 30.0) * ratio(value - low, high - low);
        let bottom = ROW * self.rows.len() as f64 + 8.0;
        let mut svg = open(bottom + 24.0, self.title);
        for mark in between(low, high) {
            let x = place(mark);
            let class = if (mark - 1.0).abs() < 1e-9 { "one" } else { "grid" };
            svg.push_str(&stroke(class, [x, 0.0], [x, bottom], ""));
            svg.push_str(&text(x, bottom + 16.0, "middle", &format!("{mark:.2}")));
        }
        for (n, (name, dots, [median, from, to])) in self.rows.iter().enumerate() {
            let y = ROW * (n as f64 + 0.5);
            svg.push_str(&text(NAMES - 12.0, y + 4.0, "end", name));
            let (x, width) = (place(*from), (place(*to) - place(*from)).max(1.0));
            svg.push_str(&format!("<rect class=\"span\" x=\"{x:.1}\" y=\"{:.1}\" ", y - 6.0));
            svg.push_str(&format!("width=\"{width:.1}\" height=\"12\" rx=\"3\"/>"));
            for dot in *dots {
                let x = place(*dot);
                svg.push_str(&format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\">"));
                svg.push_str(&format!("<title>{dot:.4}</title></circle>"));
            }
            let x = place(*median);
            svg.push_str(&stroke("median", [x, y - 10.0], [x, y + 10.0], ""));
            if let Some((_, limit)) = self.limit.filter(|(of, _)| of == name) {
                let (x, says) = (place(limit), format!("budget {limit}"));
                svg.push_str(&stroke("limit", [x, y - 14.0], [x, y + 14.0], &says));
            }
        }
        Some(svg + "</svg>")
    }
}

/// Text that is safe between and inside of tags.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c => safe.push(c),
        }
    }
    safe
}

fn open(height: f64, title: &str) -> String {
    let title = escaped(title);
    format!("<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"{title}\">")
}

/// A straight line, with what it says where one points at it.
fn stroke(class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2], says: &str) -> String {
    format!(
        "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\">\
         <title>{}</title></line>",
        escaped(says)
    )
}

fn text(x: f64, y: f64, anchor: &str, text: &str) -> String {
    let text = escaped(text);
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>")
}

fn legend(lines: &[Line<'_>]) -> String {
    let entries = lines.iter().enumerate().map(|(n, line)| {
        format!("<span><i style=\"background:var(--c{n})\"></i>{}</span>", escaped(line.name))
    });
    format!("<p class=\"legend\">{}</p>", entries.collect::<String>())
}

/// The values that an axis spans.
struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Axis {
    fn of(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let finite = values.filter(|value| value.is_finite());
        match scale {
            Scale::Linear => {
                let high = finite.fold(0.0, f64::max);
                let high = if high > 0.0 { high } else { 1.0 };
                Self { scale, low: 0.0, high }
            }
            Scale::Log => {
                let positive: Vec<_> = finite.filter(|value| *value > 0.0).collect();
                let low = positive.iter().copied().fold(f64::MAX, f64::min).min(1e9);
                let high = positive.iter().copied().fold(low, f64::max);
                // Whole powers of ten around them.
                let (low, high) = (low.log10().floor(), (high.log10() + 1e-9).ceil());
                Self { scale, low: 10_f64.powf(low), high: 10_f64.powf(high.max(low + 1.0)) }
            }
        }
    }

    fn share(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => ratio(value, self.high),
            Scale::Log => {
                let above = (value.max(self.low) / self.low).log10();
                ratio(above, (self.high / self.low).log10())
            }
        }
    }

    fn marks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => round_marks(self.high),
            Scale::Log => {
                let decades = (self.high / self.low).log10().round();
                (0..=12)
                    .map(f64::from)
                    .take_while(|n| *n <= decades)
                    .map(|n| self.low * 10_f64.powf(n))
                    .collect()
            }
        }
    }
}

/// Round numbers from 0 up to `high`, four to ten of them.
fn round_marks(high: f64) -> Vec<f64> {
    between(0.0, high)
}

/// Round numbers inside a span.
fn between(low: f64, high: f64) -> Vec<f64> {
    let span = (high - low).max(f64::MIN_POSITIVE);
    let decade = 10_f64.powf((span / 4.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|times| times * decade)
        .into_iter()
        .find(|step| span / step <= 8.0)
        .unwrap_or(span);
    let first = (low / step).ceil();
    (0..=10)
        .map(|n| (first + f64::from(n)) * step)
        .take_while(|at| *at <= high * (1.0 + 1e-9) + 1e-12)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_few() {
        for (low, high, wanted) in [
            (0.0, 10.0, vec![0.0, 2.0, 4.0, 6.0, 8.0, 10.0]),
            (0.0, 3.0, vec![0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]),
            (0.95, 1.3, vec![0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3]),
        ] {
            let got = between(low, high);
            let close = got.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-9);
            assert!(close && got.len() == wanted.len(), "{low} to {high}: {got:?}");
        }
        for exponent in -9..9 {
            let count = round_marks(3.7 * 10_f64.powi(exponent)).len();
            assert!((3..=10).contains(&count), "{exponent}: {count}");
        }
    }

    #[test]
    fn log_axes_are_whole_decades() {
        let axis = Axis::of(Scale::Log, [0.0, 0.3, 42.0].into_iter());
        assert_eq!(
            axis.marks().iter().map(|mark| digits(*mark)).collect::<Vec<_>>(),
            ["0.1000", "1", "10", "100"]
        );
        for (value, wanted) in [(0.1, 0.0), (0.0, 0.0), (100.0, 1.0)] {
            assert!((axis.share(value) - wanted).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn every_point_lies_inside() {
        let line = |name, points: &[(f64, f64)]| Line { name, points: points.to_vec() };
        for scale in [Scale::Linear, Scale::Log] {
            let lines = vec![
                line("a<b", &[(0.0, 0.0), (3.0, 7.0)]),
                line("c", &[(1.0, 0.001), (2.0, 900.0)]),
            ];
            let plot = Plot { title: "t", x: "s", y: "ms", scale, marks: Vec::new(), lines };
            let svg = plot.render().unwrap();
            assert!(
                svg.contains("a&lt;b") && !svg.contains("NaN") && !svg.contains("inf"),
                "{svg}"
            );
            for points in svg.split("points=\"").skip(1) {
                let points = points.split('"').next().unwrap();
                for point in points.split(' ') {
                    let (x, y) = point.split_once(',').unwrap();
                    let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                    assert!((LEFT..=WIDTH).contains(&x) && (TOP..=HEIGHT).contains(&y), "{x},{y}");
                }
            }
        }
    }

    #[test]
    fn nothing_makes_no_plot() {
        let plot = Plot {
            title: "t",
            x: "",
            y: "",
            scale: Scale::Log,
            marks: Vec::new(),
            lines: Vec::new(),
        };
        assert_eq!(plot.render(), None);
        assert_eq!(Dots { title: "t", rows: Vec::new(), limit: None }.render(), None);
    }

    #[test]
    fn dots_show_their_limit_in_its_row() {
        let rows =
            vec![("cpu", &[1.0, 1.1][..], [1.05, 1.0, 1.1]), ("time", &[0.9], [0.9, 0.9, 0.9])];
        let svg = Dots { title: "t", rows, limit: Some(("cpu", 1.15)) }.render().unwrap();
        assert_eq!(svg.matches("<circle").count(), 3);
        assert_eq!(svg.matches("class=\"limit\"").count(), 1);
        assert!(!svg.contains("NaN"), "{svg}");
    }
}
