//! The operations around a violation as bars over time, a row or more per process.
//!
//! A bar spans the time in which the operation may have taken effect. One that no order explains is in the colour that
//! nothing else has; one that never completed stays open to the right, because it may take effect at any time.

use std::collections::BTreeMap;

use rafture_checker::failure::{Failure, FailureOperation};
use rafture_checker::history::Process;

use super::axis::Scale;
use super::bands::Bands;
use super::frame::{self, Heading, Mark};
use super::palette::{ALARM, BLUE, Color, GRID, INK, PAPER, QUIET};
use super::render::text_width;
use super::scene::{Anchor, Scene, Text, WIDTH};

const ROW_HEIGHT: f64 = 28.0;
const BAR_HEIGHT: f64 = 19.0;
const TITLE_HEIGHT: f64 = 36.0;
const LEADERS_HEIGHT: f64 = 16.0;
const SIZE: f64 = 12.0;

/// An operation with its place in the drawing.
struct Placed<'a> {
    operation: &'a FailureOperation,
    from: f64,
    until: f64,
    row: usize,
}

pub(super) fn scene(failure: &Failure, bands: &Bands) -> Scene {
    let (from_ns, until_ns) = extent(failure, bands.end_ns);
    let time = frame::time_scale((from_ns, until_ns));
    let (placed, rows) = place(failure, &time);
    let lanes_top = TITLE_HEIGHT;
    let top = lanes_top + bands.height() + LEADERS_HEIGHT;
    let bottom = top + rows.len() as f64 * ROW_HEIGHT + 6.0;
    let mut scene = Scene::new(bottom + 46.0);
    frame::paint_title(&mut scene, &heading(failure));
    bands.paint_shade(&mut scene, &time, (top, bottom));
    bands.paint_lanes(&mut scene, &time, lanes_top);
    frame::paint_time_axis(&mut scene, &time, (from_ns as f64 / 1e9, until_ns as f64 / 1e9), bottom);
    frame::paint_bands_legend(&mut scene, bands, bottom + 39.0);
    bands.paint_leaders(&mut scene, &time, (top, bottom));
    paint_processes(&mut scene, &rows, top);
    for placed in &placed {
        paint_operation(&mut scene, placed, top);
    }
    scene
}

fn heading(failure: &Failure) -> Heading<'static> {
    let open = failure.operations.iter().any(|operation| operation.completed_ns.is_none());
    let mut legend = vec![("no order explains this".to_owned(), Mark::Square, ALARM)];
    if open {
        legend.push(("open: outcome unknown".to_owned(), Mark::Square, open_color()));
    }
    Heading { title: "Around the violation", unit: "", legend }
}

/// The time that the operations cover, with some air, so that an open end can be seen as one.
fn extent(failure: &Failure, end_ns: u64) -> (u64, u64) {
    let operations = &failure.operations;
    let invoked_ns = || operations.iter().map(|operation| operation.invoked_ns);
    let completed_ns = operations.iter().filter_map(|operation| operation.completed_ns);
    let from_ns = invoked_ns().min().unwrap_or(0);
    let until_ns = invoked_ns().chain(completed_ns).max().unwrap_or(end_ns);
    let air_ns = (until_ns.saturating_sub(from_ns) / 12).max(1_000);
    (from_ns.saturating_sub(air_ns / 2), until_ns + air_ns)
}

/// Gives each process a row, or as many as its labels need; tells which process each row belongs to.
fn place<'a>(failure: &'a Failure, time: &Scale) -> (Vec<Placed<'a>>, Vec<Process>) {
    let mut by_process = BTreeMap::<Process, Vec<&FailureOperation>>::new();
    for operation in &failure.operations {
        by_process.entry(operation.process).or_default().push(operation);
    }
    let (mut placed, mut rows) = (Vec::new(), Vec::new());
    for (process, operations) in by_process {
        let first_row = rows.len();
        let mut free_from = Vec::<f64>::new();
        for operation in operations {
            let from = time.place(operation.invoked_ns as f64);
            let until = operation.completed_ns.map_or(WIDTH, |completed_ns| time.place(completed_ns as f64));
            let free = free_from.iter().position(|&free| free <= from);
            let row = free.unwrap_or(free_from.len());
            if row == free_from.len() {
                free_from.push(0.0);
                rows.push(process);
            }
            let (_, label_end) = label_extent(operation, (from, until));
            free_from[row] = until.max(label_end) + 4.0;
            placed.push(Placed { operation, from, until, row: first_row + row });
        }
    }
    (placed, rows)
}

/// Inside the bar if it fits, else beside it: to the right, or to the left where the picture ends.
fn label_extent(operation: &FailureOperation, (from, until): (f64, f64)) -> (f64, f64) {
    let width = text_width(&label(operation), SIZE);
    let start = if width + 10.0 <= until - from {
        from + 5.0
    } else if until + width + 8.0 <= WIDTH {
        until + 4.0
    } else {
        from - width - 4.0
    };
    (start, start + width)
}

fn label(operation: &FailureOperation) -> String {
    let unknown = if operation.completed_ns.is_none() { " ?" } else { "" };
    format!("{}{unknown}", operation.label)
}

fn paint_processes(scene: &mut Scene, rows: &[Process], top: f64) {
    for (row, process) in rows.iter().enumerate() {
        let y = top + row as f64 * ROW_HEIGHT;
        if row > 0 && rows[row - 1] == *process {
            continue;
        }
        scene.line(vec![(0.0, y + 1.0), (WIDTH, y + 1.0)], 1.0, GRID);
        let words = Text::new(54.0, y + 19.0, SIZE, format!("p{process}"));
        scene.text(words.anchor(Anchor::End).color(QUIET));
    }
}

fn paint_operation(scene: &mut Scene, placed: &Placed<'_>, top: f64) {
    let operation = placed.operation;
    let y = top + placed.row as f64 * ROW_HEIGHT + 5.0;
    let width = (placed.until - placed.from).max(2.0);
    let color = match operation.completed_ns {
        _ if operation.culprit => ALARM,
        Some(_) => closed_color(),
        None => open_color(),
    };
    scene.rectangle(placed.from, y, width, BAR_HEIGHT, color);
    let edge = if operation.culprit { ALARM } else { BLUE };
    scene.rectangle(placed.from, y, 2.0, BAR_HEIGHT, edge);
    if operation.completed_ns.is_some() {
        scene.rectangle(placed.from + width - 2.0, y, 2.0, BAR_HEIGHT, edge);
    }
    let (x, label_end) = label_extent(operation, (placed.from, placed.until));
    let inside = x >= placed.from && label_end <= placed.until;
    let words = Text::new(x, y + 14.0, SIZE, label(operation));
    scene.text(match (operation.culprit, inside) {
        (true, true) => words.color(PAPER).bold(),
        (true, false) => words.color(ALARM),
        (false, _) => words.color(INK),
    });
}

const fn closed_color() -> Color {
    Color(173, 208, 232)
}

const fn open_color() -> Color {
    Color(226, 232, 240)
}
