//! `report.html` of a tuning: one file that opens from disk with no network, in the order in which a reader asks.
//!
//! What to configure, why, what it costs and how sure that is; then each picture with the table behind it; then what was run, and where
//! the figures are for those who reckon themselves. Whatever comes from outside is escaped by the templates, and made visible when
//! the page leaves.

mod advice;
mod candidates;
mod election;
mod figure16;
mod provenance;
mod studies;

use maud::{Markup, PreEscaped, html};

use super::Tuning;
use super::words;
use crate::page::{SCRIPT, STYLE, document};
use crate::plot::Plot;

/// More rows than this are for scripts; `tune.json` has them all.
const ROWS_MAX: usize = 400;
/// The page promises to stay below 2 MB, however much was tried; further pictures lie beside it.
const PICTURES_BYTES_MAX: usize = 1_400_000;

/// The whole page.
pub(super) fn html(tuning: &Tuning, plots: &[Plot], has_simulated: bool) -> String {
    let title = match &tuning.recommendation {
        Some(advice) => {
            format!("{} · election timeouts of {}", words::timeout(&advice.timing), tuning.system)
        }
        None => format!("election timeouts of {}", tuning.system),
    };
    let pictures = Pictures::of(plots);
    let main = html! {
        (advice::section(tuning))
        (candidates::section(tuning, &pictures))
        (election::section(tuning, &pictures))
        (candidates::steady(tuning))
        (figure16::section(tuning, &pictures))
        (studies::section(tuning, &pictures))
        (provenance::section(tuning, has_simulated))
    };
    document(&title, &[STYLE, include_str!("tune.css")], &main, &html! {}, &[SCRIPT])
}

/// The pictures that there are, by their names.
struct Pictures<'a> {
    plots: &'a [Plot],
    /// So many of them stand in the page itself.
    shown: usize,
}

impl<'a> Pictures<'a> {
    fn of(plots: &'a [Plot]) -> Pictures<'a> {
        let sizes = plots.iter().scan(0, |sum, plot| {
            *sum += plot.svg.len();
            Some(*sum)
        });
        Pictures { plots, shown: sizes.take_while(|sum| *sum <= PICTURES_BYTES_MAX).count() }
    }

    /// A picture in the page, scaled to its width, with what it shows below it; nothing where there is none.
    fn show(&self, name: &str) -> Markup {
        let place = self.plots.iter().position(|plot| plot.name == name);
        html! {
            @if let Some(place) = place {
                @let plot = &self.plots[place];
                @if place < self.shown {
                    figure role="img" aria-label=(plot.caption) { (PreEscaped(&plot.svg)) }
                    p.note.caption aria-hidden="true" { (plot.caption) }
                } @else {
                    p { a href=(format!("plots/{}.svg", plot.name)) { "plots/" (plot.name) ".svg" } }
                    p.note { (plot.caption) " It would make this page too large, so it lies beside it." }
                }
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        self.plots.iter().any(|plot| plot.name == name)
    }
}

/// A table that scrolls by itself where it is wider than the screen.
struct Table<'a> {
    /// For a screen reader.
    caption: &'a str,
    /// The names of its columns; figures stand to the right.
    columns: &'a [Column<'a>],
    rows: Vec<Row>,
}

#[derive(Debug, Clone, Copy)]
enum Column<'a> {
    Words(&'a str),
    Figure(&'a str),
}

/// Its cells, and whether it is the one that is recommended. The first names the row.
struct Row {
    cells: Vec<Markup>,
    is_marked: bool,
}

impl Row {
    fn of(cells: Vec<Markup>) -> Row {
        Row { cells, is_marked: false }
    }
}

impl Column<'_> {
    fn class(self) -> Option<&'static str> {
        match self {
            Column::Words(_) => None,
            Column::Figure(_) => Some("number"),
        }
    }

    fn name(&self) -> &str {
        match self {
            Column::Words(name) | Column::Figure(name) => name,
        }
    }
}

impl Table<'_> {
    fn show(&self) -> Markup {
        let left_out = self.rows.len().saturating_sub(ROWS_MAX);
        html! {
            div.scroll tabindex="0" role="region" aria-label=(self.caption) {
                table {
                    caption { (self.caption) }
                    thead { tr { @for column in self.columns { th scope="col" class=[column.class()] { (column.name()) } } } }
                    tbody { @for row in self.rows.iter().take(ROWS_MAX) { (self.row(row)) } }
                }
            }
            @if left_out > 0 { p.note { "And " (left_out) " more rows, which " code { "tune.json" } " has." } }
        }
    }

    fn row(&self, row: &Row) -> Markup {
        html! {
            tr.marked[row.is_marked] {
                @for (place, (cell, column)) in row.cells.iter().zip(self.columns).enumerate() {
                    @if place == 0 { th scope="row" class=[column.class()] { (cell) } }
                    @else { td class=[column.class()] { (cell) } }
                }
            }
        }
    }

    /// The table behind a picture, folded.
    fn folded(&self, summary: &str) -> Markup {
        html! { details { summary { (summary) } (self.show()) } }
    }
}

/// A cell of plain text.
fn text(words: impl AsRef<str>) -> Markup {
    html! { (words.as_ref()) }
}

#[cfg(test)]
mod tests {
    use super::super::{Source, Target, Trial, plot, sample};
    use super::*;

    const EVIL: &str = "</script></svg><img src=x onerror=alert(1)>\0\u{1b}[31m\u{202e}../../etc";

    fn page(tuning: &Tuning) -> String {
        let trials: Vec<Trial> =
            [Source::Real, Source::Simulated].map(|source| sample::trials(tuning, source)).concat();
        html(tuning, &plot::draw(tuning, &trials).expect("plots"), true)
    }

    #[test]
    fn the_advice_comes_before_its_reason_before_the_pictures_before_what_was_run() {
        let page = page(&sample::tuning(3));
        let places: Vec<usize> = [
            "<h1>Election timeout 150–300 ms",
            "It has the fewest false elections",
            r#"<span class="whole">--election-timeout=150</span>"#,
            "met in 1 of 1 fresh run",
            "What each candidate buys and costs",
            "All candidates",
            "Until a write succeeded",
            "While nothing fails",
            "Figure 16",
            "What does heavy loss do?",
            "What was run",
            "rafture tune --seed 7",
            "trials.csv",
        ]
        .into_iter()
        .map(|words| page.find(words).unwrap_or_else(|| panic!("the page lacks `{words}`")))
        .collect();
        assert!(places.is_sorted(), "{places:?}");
    }

    /// What is copied is what the element says without its markup: all lines, and nothing between them.
    #[test]
    fn lines_are_copied_as_they_were_given() {
        let mut tuning = sample::tuning(1);
        let advice = tuning.recommendation.as_mut().expect("advice");
        advice.configuration[0].lines = vec!["--heartbeat 50ms  --x=\"a b\"".into(), "  indented = 1".into()];
        let page = page(&tuning);
        let block = page.split(r#"id="lines-0">"#).nth(1).and_then(|rest| rest.split("</code>").next());
        let text = block.expect("a block").replace(r#"<span class="whole">"#, "").replace("</span>", "");
        assert_eq!(text, "--heartbeat 50ms  --x=&quot;a b&quot;\n  indented = 1");
    }

    #[test]
    fn the_page_asks_nobody_outside_of_its_folder() {
        let page = page(&sample::tuning(2)).replace(r#"xmlns="http://www.w3.org/2000/svg""#, "");
        for outside in ["http://", "https://", "src=", "url(", "@import", "<link"] {
            assert!(!page.contains(outside), "the page contains `{outside}`");
        }
        let links = page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap_or_default());
        for link in links {
            assert!(
                ["trials.csv", "trials.jsonl", "simulated.csv.gz", "tune.json", "plots/"].contains(&link),
                "{link}"
            );
        }
    }

    #[test]
    fn nothing_from_outside_can_leave_its_place_or_hide() {
        let mut tuning = sample::tuning(2);
        let evil = || EVIL.to_owned();
        (tuning.command, tuning.started, tuning.system) = (evil(), evil(), evil());
        (tuning.network.words, tuning.unmet, tuning.warnings) = (evil(), Some(evil()), vec![evil()]);
        let candidate = &mut tuning.candidates[0];
        (candidate.warnings, candidate.steady[0].burden) = (vec![evil()], evil());
        let advice = tuning.recommendation.as_mut().expect("advice");
        advice.reason = evil();
        let configuration = &mut advice.configuration[0];
        (configuration.system, configuration.lines, configuration.note) =
            (evil(), vec![evil()], Some(evil()));
        let reason = tuning.figure16[0].points[1].simulated.as_mut().map(|beside| &mut beside.reason);
        *reason.expect("a figure") = Some(evil());
        let study = &mut tuning.studies[0];
        (study.name, study.question, study.setup, study.findings) = (evil(), evil(), evil(), vec![evil()]);
        let chart = &mut study.charts[0];
        (chart.title, chart.x, chart.y, chart.lines[0].name) = (evil(), evil(), evil(), evil());
        let page = page(&tuning);
        assert!(!page.contains("<img"), "an element came from a text");
        assert_eq!(page.matches("</script>").count(), 1, "a text ended a script");
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count(), "a text ended a picture");
        let is_hidden = |letter: char| (letter.is_control() && letter != '\n') || letter == '\u{202e}';
        assert!(!page.contains(is_hidden), "{:?}", page.chars().find(|letter| is_hidden(*letter)));
    }

    /// A screen reader goes from heading to heading, and from column to column by what heads it.
    #[test]
    fn headings_come_in_order_and_every_table_has_a_caption_and_scopes() {
        let page = page(&sample::tuning(5));
        let tables = crate::page::document::check_structure(&page);
        assert!(tables >= 7, "{tables} tables");
        let ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let unique: std::collections::BTreeSet<&&str> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len(), "{ids:?}");
    }

    #[test]
    fn forty_candidates_with_everything_stay_below_two_megabytes() {
        let page = page(&sample::tuning(40));
        assert!((100_000..2_000_000).contains(&page.len()), "{} bytes", page.len());
    }

    #[test]
    fn pictures_that_would_make_it_too_large_lie_beside_it() {
        let plot = |number: usize| Plot {
            name: format!("study-s-{number}"),
            caption: "what it shows".into(),
            svg: format!("<svg>{}</svg>", "x".repeat(600_000)),
            png: Vec::new(),
        };
        let plots: Vec<Plot> = (1..=3).map(plot).collect();
        let pictures = Pictures::of(&plots);
        let shown: Vec<String> = plots.iter().map(|plot| pictures.show(&plot.name).into_string()).collect();
        assert!(shown[1].contains("<svg>") && !shown[2].contains("<svg>"));
        assert!(shown[2].contains(r#"href="plots/study-s-3.svg""#), "{}", shown[2]);
    }

    #[test]
    fn without_advice_it_says_why_and_without_anything_it_is_still_a_page() {
        let unmet = "A round trip alone takes 80 ms; the nearest is 410 ms.";
        let target = Some(Target::OutageMs(50.0));
        let tuning = Tuning { target, unmet: Some(unmet.into()), recommendation: None, ..sample::tuning(1) };
        let without = page(&tuning);
        assert!(without.contains("<h1>No advice") && without.contains(unmet), "{}", &without[..3000]);
        assert!(!without.contains("recommended</th>"));
        let mut unmeasured = sample::tuning(1);
        let points = unmeasured.figure16.iter_mut().flat_map(|curve| &mut curve.points);
        points.for_each(|point| point.simulated = None);
        assert!(!page(&unmeasured).contains("Every percentile is as near"), "nothing was measured beside it");
        let bare = page(&sample::bare());
        assert!(bare.contains("rafture tune --seed 7") && !bare.contains("<figure"), "{bare}");
        assert!(!bare.contains("All candidates") && !bare.contains("Figure 16"));
    }
}
