//! Colours, told apart by colour-blind readers too: Okabe and Ito for operations, Paul Tol's muted set for faults.

use super::scene::Paint;

/// Red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Color(pub(super) u8, pub(super) u8, pub(super) u8);

pub(super) const PAPER: Color = Color(255, 255, 255);
pub(super) const INK: Color = Color(38, 43, 51);
pub(super) const QUIET: Color = Color(107, 114, 128);
pub(super) const GRID: Color = Color(229, 231, 235);

pub(super) const BLUE: Color = Color(0, 114, 178);
pub(super) const VERMILION: Color = Color(213, 94, 0);
pub(super) const GREEN: Color = Color(0, 158, 115);
pub(super) const ORANGE: Color = Color(230, 159, 0);
pub(super) const SKY: Color = Color(86, 180, 233);
pub(super) const PURPLE: Color = Color(204, 121, 167);

/// For the operation that no order explains; nothing else has it.
pub(super) const ALARM: Color = Color(200, 16, 46);

const OPERATIONS: [Color; 5] = [GREEN, ORANGE, SKY, PURPLE, QUIET];

const FAULTS: [(&str, Color); 3] =
    [("kill", Color(204, 102, 119)), ("pause", Color(221, 204, 119)), ("partition", Color(136, 204, 238))];

const OTHER_FAULTS: [Color; 4] =
    [Color(68, 170, 153), Color(170, 68, 153), Color(153, 153, 51), Color(187, 187, 187)];

impl Color {
    /// As pages write it.
    pub(super) fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    pub(super) fn faint(self, alpha: f64) -> Paint {
        Paint { color: self, alpha }
    }
}

/// The colour of an operation: reads and writes always have theirs, others by their place among all names.
pub(super) fn operation_color(f: &str, place: usize) -> Color {
    match f {
        "read" => BLUE,
        "write" => VERMILION,
        _ => OPERATIONS[place % OPERATIONS.len()],
    }
}

/// The colour of a fault kind: the common ones always have theirs, others by their place among all kinds of the run.
pub(super) fn fault_color(kind: &str, place: usize) -> Color {
    let fixed = FAULTS.iter().find(|(name, _)| *name == kind);
    fixed.map_or(OTHER_FAULTS[place % OTHER_FAULTS.len()], |&(_, color)| color)
}
