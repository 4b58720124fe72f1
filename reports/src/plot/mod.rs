//! The plots of a run, each as SVG and PNG.
//!
//! A plot is a pure function from data to a scene, a list of shapes in logical pixels; `render` turns a scene into a
//! file with plotters. No plot knows a file format, and text needs no font of the machine: one is built in.

pub(crate) mod axis;
mod bands;
mod frame;
mod latency;
pub(crate) mod palette;
mod quantiles;
mod recovery;
pub(crate) mod render;
pub(crate) mod scene;
mod throughput;
mod violation;

use rafture_checker::failure::Failure;

use crate::fault::{FaultSpan, LeaderChange};
use crate::measure::{self, Operation};
use crate::results::Results;
use bands::Bands;
pub use render::RenderError;

/// What plots are drawn from.
#[derive(Debug, Clone, Copy)]
pub struct PlotData<'a> {
    /// The figures and the verdict.
    pub results: &'a Results,
    /// Every operation of a client.
    pub operations: &'a [Operation<'a>],
    /// Bands.
    pub faults: &'a [FaultSpan],
    /// Marks.
    pub leaders: &'a [LeaderChange],
    /// The end of the history, nanoseconds since the start of the run.
    pub end_ns: u64,
}

/// One finished plot.
#[derive(Debug, Clone)]
pub struct Plot {
    /// The file's name without its ending.
    pub name: String,
    /// What it shows, as one sentence for those who cannot see it.
    pub caption: String,
    /// The SVG document.
    pub svg: String,
    /// The PNG file.
    pub png: Vec<u8>,
}

/// Every name that a plot can have, so that a plot of an earlier report can be removed.
pub const NAMES: [&str; 5] = ["latency", "quantiles", "throughput", "recovery", "violation"];

/// Draws all plots that the data has something for.
pub fn draw(data: PlotData<'_>) -> Result<Vec<Plot>, RenderError> {
    let bands = Bands::new(data.faults, data.leaders, data.end_ns);
    let windows = measure::windows(data.operations, data.end_ns, measure::WINDOWS_MAX);
    let mut scenes = Vec::new();
    if let Some((checker, failure)) = data.results.failures().first() {
        scenes.push(violation(checker, failure, &bands));
    }
    scenes.push((
        "latency",
        "Latency of each operation by the time of its invocation, logarithmic.".to_owned(),
        latency::scene(data.operations, &bands),
    ));
    scenes.push((
        "quantiles",
        "Latency quantiles of successful operations over time, logarithmic.".to_owned(),
        quantiles::scene(&windows, &bands),
    ));
    scenes.push((
        "throughput",
        "Completions per second over time, by outcome.".to_owned(),
        throughput::scene(&windows, &bands),
    ));
    if !data.results.recovery.each.is_empty() {
        scenes.push((
            "recovery",
            "The longest stretch without a success around each fault.".to_owned(),
            recovery::scene(&data.results.recovery.each),
        ));
    }
    scenes
        .into_iter()
        .map(|(name, caption, scene)| {
            Ok(Plot { name: name.to_owned(), caption, svg: render::svg(&scene)?, png: render::png(&scene)? })
        })
        .collect()
}

/// The kinds of faults that were in force, each with its colour as pages write it.
pub(crate) fn fault_colors(faults: &[FaultSpan]) -> Vec<(String, String)> {
    bands::colored_kinds(faults).into_iter().map(|(kind, color)| (kind, color.hex())).collect()
}

/// The colours of operations as pages write them, in the order of `names`, which is alphabetical.
pub(crate) fn operation_colors(names: &[&str]) -> Vec<String> {
    names.iter().enumerate().map(|(place, f)| palette::operation_color(f, place).hex()).collect()
}

fn violation(checker: &str, failure: &Failure, bands: &Bands) -> (&'static str, String, scene::Scene) {
    let caption = format!("The operations around the {} that `{checker}` found.", failure.anomaly);
    ("violation", caption, violation::scene(failure, bands))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn plots() -> Vec<Plot> {
        let (history, faults, leaders) = (sample::history(), sample::faults(), sample::leaders());
        draw(PlotData {
            results: &sample::invalid_results(),
            operations: &measure::operations(&history),
            faults: &faults,
            leaders: &leaders,
            end_ns: measure::end_ns(&history),
        })
        .expect("plots")
    }

    #[test]
    fn every_plot_says_what_it_shows() {
        let expected: [(&str, &[&str]); 5] = [
            ("violation", &["write 4", "write 5 ?", "read → 3", "p4", "kill@leader"]),
            ("latency", &["read", "write", "outcome unknown", "kill@leader", "n2 t3", "ms"]),
            ("quantiles", &["p50", "p95", "p99", "max", "n1 t2"]),
            ("throughput", &["ok", "per s", "3 s"]),
            ("recovery", &["kill@leader", "252 ms", "new leader elected"]),
        ];
        let plots = plots();
        assert_eq!(plots.len(), expected.len());
        for (plot, (name, labels)) in plots.iter().zip(expected) {
            assert_eq!(plot.name, name);
            for label in labels {
                let element = format!("\n{label}\n");
                assert!(plot.svg.contains(&element), "`{name}` lacks `{label}`");
            }
        }
    }

    /// The title of each plot is in the PNG as dark pixels, although nothing here looks for a font of the machine.
    #[test]
    fn a_png_has_its_words_without_a_font_of_the_machine() {
        for plot in plots() {
            let decoder = png::Decoder::new(std::io::Cursor::new(&plot.png));
            let mut reader = decoder.read_info().expect("a PNG");
            let mut pixels = vec![0; reader.output_buffer_size().expect("a small picture")];
            let picture = reader.next_frame(&mut pixels).expect("pixels");
            assert_eq!(picture.width, 2_000);
            let title_ends = 50 * picture.line_size;
            let dark = pixels[..title_ends].chunks(3).filter(|pixel| pixel.iter().all(|&part| part < 100));
            let dark = dark.count();
            assert!(dark > 500, "`{}` has {dark} dark pixels in its title", plot.name);
        }
    }

    #[test]
    fn a_run_without_operations_still_has_its_plots() {
        let plots = draw(PlotData {
            results: &Results { recovery: Default::default(), ..sample::results() },
            operations: &[],
            faults: &[],
            leaders: &[],
            end_ns: 0,
        });
        let names: Vec<String> = plots.expect("plots").into_iter().map(|plot| plot.name).collect();
        assert_eq!(names, ["latency", "quantiles", "throughput"]);
    }
}
