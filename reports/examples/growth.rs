//! Draws how time and memory of checkers grow, from the figures in `docs/checking`.
//!
//! `cargo run --release -p rafture-reports --example growth -- docs/checking`
//!
//! It reads `growth-NAME.csv`, a file a checker, as the benchmark `checking` of the checker writes them, and leaves `length.svg`,
//! `clients.svg` and `info.svg` beside them. It measures nothing. The one idea: a picture has a row for each kind of history, time to the
//! left and memory to the right, and a checker's line ends at the upper edge, in a cross, where it gave up.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const FONT: &str = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif";
const PAPER: &str = "#ffffff";
const INK: &str = "#262b33";
const QUIET: &str = "#6b7280";
const GRID: &str = "#e5e7eb";

/// Who is drawn and how, the first on top of all others.
const CHECKERS: [(&str, &str); 6] = [
    ("rafture", "#0072b2"),
    ("porcupine", "#d55e00"),
    ("porcupine-rust", "#e69f00"),
    ("todc-utils", "#cc79a7"),
    ("stateright", "#009e73"),
    ("adya", "#56b4e9"),
];

const WIDTH: f64 = 1000.0;
const HEADING: f64 = 62.0;
const ROW: f64 = 246.0;
const PLOT: f64 = 170.0;
const PLOT_WIDTH: f64 = 420.0;
/// Left edges of the plots of time and memory.
const LEFT: [f64; 2] = [62.0, 560.0];

/// A picture: what grows in it, and the series that it shows, each with its title.
struct Picture {
    name: &'static str,
    title: &'static str,
    x: Scale,
    series: &'static [(&'static str, &'static str)],
}

const PICTURES: [Picture; 3] = [
    Picture {
        name: "length",
        title: "Growth with the number of operations",
        x: Scale::logarithmic(10.0, 1e7),
        series: &[
            ("length-register", "register, five values, 5 clients"),
            ("length-cas-register", "register with compare-and-set, five values, 10 clients"),
            ("length-unique", "register, every value once, 10 clients"),
            ("length-queue", "queue, every value once, 5 clients"),
            ("length-append", "transactions over lists, 20 clients, 0.1 % unknown"),
        ],
    },
    Picture {
        name: "clients",
        title: "Growth with the number of clients, 10,000 operations",
        x: Scale::logarithmic(1.0, 200.0),
        series: &[
            ("clients-register", "register, five values"),
            ("clients-cas-register", "register with compare-and-set, five values"),
            ("clients-unique", "register, every value once"),
        ],
    },
    Picture {
        name: "info",
        title: "Growth with the share of writes whose outcome is unknown, in percent, 5 clients",
        x: Scale::linear(0.0, 10.0),
        series: &[
            ("info-register", "register, five values, 10,000 operations"),
            ("info-cas-register", "register with compare-and-set, five values, 10,000 operations"),
            ("info-stale", "one stale read among 1,000 operations, every value once"),
        ],
    },
];

const SECONDS: Scale = Scale::logarithmic(1e-4, 100.0);
const MEBIBYTES: Scale = Scale::logarithmic(1.0, 10_000.0);

/// What a checker said of one history; no figures where it died without a word.
struct Row {
    series: String,
    x: f64,
    has_given_up: bool,
    seconds: Option<f64>,
    mebibytes: Option<f64>,
}

/// What is drawn upwards.
struct Measure {
    name: &'static str,
    unit: &'static str,
    of: fn(&Row) -> Option<f64>,
}

const TIME: Measure = Measure { name: "time", unit: "s", of: |row| row.seconds };
const MEMORY: Measure = Measure { name: "memory", unit: "MiB", of: |row| row.mebibytes };

/// Both ends of an axis.
#[derive(Clone, Copy)]
struct Scale {
    from: f64,
    until: f64,
    is_logarithmic: bool,
}

impl Scale {
    const fn linear(from: f64, until: f64) -> Scale {
        Scale { from, until, is_logarithmic: false }
    }

    const fn logarithmic(from: f64, until: f64) -> Scale {
        Scale { from, until, is_logarithmic: true }
    }

    /// Which part of the axis lies below `value`, from 0 to 1.
    fn part(&self, value: f64) -> f64 {
        let part = match self.is_logarithmic {
            true => (value.max(self.from) / self.from).ln() / (self.until / self.from).ln(),
            false => (value - self.from) / (self.until - self.from),
        };
        part.clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        if !self.is_logarithmic {
            return (0..=10)
                .map(|tick| self.from + f64::from(tick) * (self.until - self.from) / 10.0)
                .collect();
        }
        let decades = (self.until / self.from).log10();
        let factors: &[f64] = if decades < 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let powers = (0..=decades.floor() as i32).map(|power| self.from * 10f64.powi(power));
        let all = powers.flat_map(|power| factors.iter().map(move |factor| factor * power));
        all.filter(|&tick| tick <= self.until * 1.001).collect()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: growth FOLDER")?;
    let folder = Path::new(&folder);
    let mut rows = BTreeMap::new();
    for (checker, _) in CHECKERS {
        let path = folder.join(format!("growth-{checker}.csv"));
        if path.exists() {
            rows.insert(checker, read(&fs::read_to_string(path)?)?);
        }
    }
    for picture in &PICTURES {
        fs::write(folder.join(format!("{}.svg", picture.name)), draw(picture, &rows))?;
    }
    Ok(())
}

/// The rows of a file; what follows the memory is for people.
fn read(text: &str) -> Result<Vec<Row>, Box<dyn Error>> {
    let row = |line: &str| {
        let words: Vec<&str> = line.split(',').collect();
        let &[series, x, verdict, seconds, mebibytes, ..] = &words[..] else {
            return Err(format!("`{line}` is no row").into());
        };
        Ok(Row {
            series: series.to_owned(),
            x: x.parse()?,
            has_given_up: verdict == "unknown",
            seconds: seconds.parse().ok(),
            mebibytes: mebibytes.parse().ok(),
        })
    };
    text.lines().skip(1).map(row).collect()
}

fn draw(picture: &Picture, rows: &BTreeMap<&str, Vec<Row>>) -> String {
    let height = HEADING + ROW * picture.series.len() as f64;
    let mut svg = format!(
        r#"<svg width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" xmlns="http://www.w3.org/2000/svg" font-family="{FONT}">
<title>{}</title>
<rect width="{WIDTH}" height="{height}" rx="6" fill="{PAPER}"/>
"#,
        picture.title
    );
    words(&mut svg, (LEFT[0], 25.0), "start", (15.0, INK, true), picture.title);
    let of = |checker: &str, series: &str| -> Vec<&Row> {
        let all = rows.get(checker).into_iter().flatten();
        all.filter(|row| row.series == series).collect()
    };
    let is_shown = |checker: &str| picture.series.iter().any(|(series, _)| !of(checker, series).is_empty());
    let shown: Vec<(&str, &str)> = CHECKERS.into_iter().filter(|(checker, _)| is_shown(checker)).collect();
    legend(&mut svg, &shown);
    for (number, (series, title)) in picture.series.iter().enumerate() {
        let top = HEADING + ROW * number as f64 + 32.0;
        words(&mut svg, (LEFT[0], top - 14.0), "start", (12.5, INK, true), title);
        for ((left, y), measure) in LEFT.into_iter().zip([SECONDS, MEBIBYTES]).zip([TIME, MEMORY]) {
            let plot = Plot { x: picture.x, y, left, top };
            plot.axes(&mut svg, &measure);
            let mut given_up: Vec<f64> = Vec::new();
            for (checker, color) in shown.iter().rev() {
                let rows = of(checker, series);
                let width = width(checker);
                let end = plot.curve(&mut svg, &rows, measure.of, (color, width));
                let Some(row) = rows.iter().find(|row| row.has_given_up) else { continue };
                // Crosses that would fall on the same spot stand side by side.
                let aside = given_up.iter().filter(|&&x| x == row.x).count() as f64 * 9.0;
                given_up.push(row.x);
                plot.give_up(&mut svg, row.x, aside, (end, color));
            }
        }
    }
    svg + "</svg>\n"
}

fn legend(svg: &mut String, shown: &[(&str, &str)]) {
    let mut x = LEFT[0];
    for (checker, color) in shown {
        line(svg, &[(x, 43.0), (x + 20.0, 43.0)], color, width(checker), "");
        words(svg, (x + 26.0, 47.0), "start", (12.0, INK, false), checker);
        x += 26.0 + 7.4 * checker.len() as f64 + 20.0;
    }
    cross(svg, (x + 5.0, 43.0), QUIET);
    words(svg, (x + 15.0, 47.0), "start", (12.0, INK, false), "gave up: out of time or memory");
}

/// The place of one plot, and what its axes mean.
struct Plot {
    x: Scale,
    y: Scale,
    left: f64,
    top: f64,
}

impl Plot {
    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        (self.left + self.x.part(x) * PLOT_WIDTH, self.top + (1.0 - self.y.part(y)) * PLOT)
    }

    fn axes(&self, svg: &mut String, measure: &Measure) {
        let (right, bottom) = (self.left + PLOT_WIDTH, self.top + PLOT);
        for tick in self.y.ticks() {
            let (_, y) = self.place(self.x.from, tick);
            line(svg, &[(self.left, y), (right, y)], GRID, 1.0, "");
            words(svg, (self.left - 7.0, y + 4.0), "end", (11.0, QUIET, false), &number(tick));
        }
        words(svg, (self.left - 7.0, self.top - 12.0), "end", (11.0, QUIET, false), measure.unit);
        words(svg, (right, bottom - 6.0), "end", (11.0, QUIET, false), measure.name);
        line(svg, &[(self.left, bottom), (right, bottom)], QUIET, 1.0, "");
        for tick in self.x.ticks() {
            let (x, _) = self.place(tick, self.y.from);
            line(svg, &[(x, bottom), (x, bottom + 4.0)], QUIET, 1.0, "");
            words(svg, (x, bottom + 17.0), "middle", (11.0, QUIET, false), &number(tick));
        }
    }

    /// The line of one checker; gives its end.
    fn curve(
        &self,
        svg: &mut String,
        rows: &[&Row],
        value: fn(&Row) -> Option<f64>,
        (color, width): (&str, f64),
    ) -> Option<(f64, f64)> {
        let decided = rows.iter().filter(|row| !row.has_given_up);
        let points: Vec<(f64, f64)> =
            decided.filter_map(|row| Some(self.place(row.x, value(row)?))).collect();
        line(svg, &points, color, width, "");
        let radius = 2.0 + width / 2.0;
        for &(x, y) in &points {
            let _ = writeln!(svg, r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" fill="{color}"/>"#);
        }
        points.last().copied()
    }

    /// From the end of a line to the cross of one that gave up.
    fn give_up(&self, svg: &mut String, x: f64, aside: f64, (end, color): (Option<(f64, f64)>, &str)) {
        let (x, y) = self.place(x, self.y.until);
        if let Some(end) = end {
            line(svg, &[end, (x + aside, y)], color, 1.2, r#" stroke-dasharray="3 3""#);
        }
        cross(svg, (x + aside, y), color);
    }
}

/// How wide the line of a checker is: ours stands out.
fn width(checker: &str) -> f64 {
    if checker == CHECKERS[0].0 { 3.0 } else { 1.8 }
}

fn line(svg: &mut String, points: &[(f64, f64)], color: &str, width: f64, more: &str) {
    let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let points = points.join(" ");
    let _ = writeln!(
        svg,
        r#"<polyline points="{points}" fill="none" stroke="{color}" stroke-width="{width}" stroke-linejoin="round"{more}/>"#
    );
}

fn cross(svg: &mut String, (x, y): (f64, f64), color: &str) {
    for slope in [-4.0, 4.0] {
        line(svg, &[(x - 4.0, y - slope), (x + 4.0, y + slope)], color, 2.2, "");
    }
}

fn words(
    svg: &mut String,
    (x, y): (f64, f64),
    anchor: &str,
    (size, color, is_bold): (f64, &str, bool),
    text: &str,
) {
    let weight = if is_bold { r#" font-weight="bold""# } else { "" };
    let _ = writeln!(
        svg,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" font-size="{size}" fill="{color}"{weight}>{text}</text>"#
    );
}

/// `0.01`, `5`, `10k`, `1M`.
fn number(value: f64) -> String {
    let text = |value: f64| {
        let text = format!("{value:.4}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match value {
        1e6.. => text(value / 1e6) + "M",
        1e3.. => text(value / 1e3) + "k",
        _ => text(value),
    }
}
