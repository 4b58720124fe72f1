//! The pictures of a tuning, each as SVG and PNG, by the machinery of `crate::plot`.
//!
//! Each is a pure function from the record, and from trials where the record has only their percentiles, to a scene. `samples` puts the
//! trials in order, `axes` and `panel` are what all pictures stand in, `legend` names what is drawn. There is no picture of what
//! was not measured.

mod axes;
mod distribution;
mod figure16;
mod frontier;
mod legend;
mod panel;
mod samples;
mod study;
mod votes;

use std::collections::BTreeMap;

use super::{Failure, Source, Trial, Tuning};
use crate::plot::palette::{BLUE, Color, GREEN, ORANGE, PURPLE, SKY, VERMILION};
use crate::plot::scene::Scene;
use crate::plot::{Plot, RenderError, render};
use samples::Sample;

/// Trials of one candidate, source and failure each.
type Samples = BTreeMap<(usize, Source, Failure), Sample>;

/// What can be drawn of every tuning; studies have pictures by their own names.
const NAMES: [&str; 6] = ["frontier", "leader", "write", "split-votes-range", "split-votes", "figure16"];
const STUDY: &str = "study-";

/// Colours of things without an order, told apart by colour-blind readers too.
const COLORS: [Color; 6] = [BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY];

/// A picture before it is a file.
struct Picture {
    name: String,
    caption: String,
    scene: Scene,
}

/// Draws all that there is something for.
pub(super) fn draw(tuning: &Tuning, trials: &[Trial]) -> Result<Vec<Plot>, RenderError> {
    let samples = samples::of(trials);
    let mut pictures = Vec::new();
    pictures.extend(frontier::picture(tuning));
    pictures.extend(distribution::pictures(tuning, &samples));
    pictures.extend(votes::by_range(tuning));
    pictures.extend(votes::by_candidate(tuning));
    pictures.extend(figure16::picture(tuning, &samples));
    for study in &tuning.studies {
        pictures.extend(study::pictures(study));
    }
    pictures
        .into_iter()
        .map(|Picture { name, caption, scene }| {
            Ok(Plot { name, caption, svg: render::svg(&scene)?, png: render::png(&scene)? })
        })
        .collect()
}

/// Whether a file of this name, without its ending, is one of our pictures, of whatever tuning.
pub(super) fn is_ours(name: &str) -> bool {
    NAMES.contains(&name) || name.starts_with(STUDY)
}

/// The name of a study's picture, by the study's name and the picture's place from 0. Only letters that every file system takes.
pub(super) fn study_name(study: &str, place: usize) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    format!("{STUDY}{}-{}", study.chars().take(60).map(plain).collect::<String>(), place + 1)
}

/// The colour of what befell the leader.
fn failure_color(failure: Failure) -> Color {
    match failure {
        Failure::Kill => BLUE,
        Failure::Pause => ORANGE,
        Failure::CutOff => GREEN,
        Failure::Slow => PURPLE,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn plots(tuning: &Tuning) -> Vec<Plot> {
        let trials = [Source::Real, Source::Simulated].map(|source| sample::trials(tuning, source)).concat();
        draw(tuning, &trials).expect("plots")
    }

    #[test]
    fn every_picture_says_what_it_shows_with_its_units() {
        let expected: [(&str, &[&str]); 7] = [
            ("frontier", &["150–300 ms", "recommended", "false elections per hour", "outage, p99", "target"]),
            ("leader", &["killed", "100 %", "simulated", "150–300 ms"]),
            ("write", &["paused", "40 %", "real"]),
            ("split-votes-range", &["closed form", "5 %"]),
            ("split-votes", &["150–300 ms", "real", "simulated"]),
            ("figure16", &["published", "randomness", "timeout", "150–155 ms"]),
            ("study-loss-1", &["5 members", "lost packets, %", "per hour"]),
        ];
        let plots = plots(&sample::tuning(3));
        let names: Vec<&str> = plots.iter().map(|plot| plot.name.as_str()).collect();
        assert_eq!(names, expected.map(|(name, _)| name));
        for (plot, (name, words)) in plots.iter().zip(expected) {
            for word in words {
                assert!(plot.svg.contains(word), "`{name}` lacks `{word}`");
            }
            assert!(is_ours(&plot.name), "{name}");
        }
    }

    #[test]
    fn there_is_no_picture_of_nothing() {
        assert_eq!(draw(&sample::bare(), &[]).expect("plots").len(), 0);
    }

    #[test]
    fn one_candidate_and_forty_have_pictures_of_a_bounded_size() {
        for count in [1, 40] {
            let plots = plots(&sample::tuning(count));
            assert_eq!(plots.len(), 7, "{count}");
            let bytes: usize = plots.iter().map(|plot| plot.svg.len()).sum();
            assert!(bytes < 1_500_000, "{count}: {bytes} bytes");
        }
    }

    #[test]
    fn figures_that_are_none_or_no_numbers_leave_the_rest_drawn() {
        let mut tuning = sample::tuning(2);
        tuning.candidates[0].false_elections_per_hour = 0.0;
        tuning.candidates[0].steady.clear();
        tuning.candidates[1].outage_p99_ms = f64::INFINITY;
        tuning.split_votes[0].latency_ms = 0.0;
        tuning.studies[0].charts[0].lines[0].points[1] = [f64::NAN; 4];
        tuning.studies[0].charts[0].is_log = true;
        for candidate in &mut tuning.candidates {
            candidate.real.clear();
        }
        for curve in &mut tuning.figure16 {
            curve.simulated = None;
        }
        let trials = sample::trials(&tuning, Source::Simulated);
        let trials: Vec<Trial> =
            trials.into_iter().map(|trial| Trial { heartbeat_ms: None, write_ms: None, ..trial }).collect();
        let plots = draw(&tuning, &trials).expect("plots");
        let names: Vec<&str> = plots.iter().map(|plot| plot.name.as_str()).collect();
        assert_eq!(names, ["frontier", "split-votes-range", "split-votes", "figure16", "study-loss-1"]);
    }

    #[test]
    fn names_of_studies_are_names_of_files() {
        assert_eq!(study_name("../../etc/passwd\0", 0), "study-------etc-passwd--1");
        assert!(study_name(&"x".repeat(999), 1).len() < 100);
    }
}
