//! Colours, told apart by colour-blind readers too: Okabe and Ito for operations, Paul Tol's muted set for faults.

use super::scene::Paint;

/// Red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Color(pub(crate) u8, pub(crate) u8, pub(crate) u8);

pub(crate) const PAPER: Color = Color(255, 255, 255);
pub(crate) const INK: Color = Color(38, 43, 51);
pub(crate) const QUIET: Color = Color(107, 114, 128);
pub(crate) const GRID: Color = Color(229, 231, 235);

pub(crate) const BLUE: Color = Color(0, 114, 178);
pub(crate) const VERMILION: Color = Color(213, 94, 0);
pub(crate) const GREEN: Color = Color(0, 158, 115);
pub(crate) const ORANGE: Color = Color(230, 159, 0);
pub(crate) const SKY: Color = Color(86, 180, 233);
pub(crate) const PURPLE: Color = Color(204, 121, 167);

/// For the operation that no order explains; nothing else has it.
pub(crate) const ALARM: Color = Color(200, 16, 46);

const OPERATIONS: [Color; 5] = [GREEN, ORANGE, SKY, PURPLE, QUIET];

const FAULTS: [(&str, Color); 3] =
    [("kill", Color(204, 102, 119)), ("pause", Color(221, 204, 119)), ("partition", Color(136, 204, 238))];

const OTHER_FAULTS: [Color; 4] =
    [Color(68, 170, 153), Color(170, 68, 153), Color(153, 153, 51), Color(187, 187, 187)];

impl Color {
    /// As pages write it.
    pub(crate) fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    /// The same nearer to black, for what lies on it.
    pub(crate) fn darker(self) -> Color {
        let part = |part: u8| (f64::from(part) * 0.6) as u8;
        Color(part(self.0), part(self.1), part(self.2))
    }

    pub(crate) fn faint(self, alpha: f64) -> Paint {
        Paint { color: self, alpha }
    }
}

/// The colour of an operation: reads and writes always have theirs, others by their place among all names.
pub(crate) fn operation_color(f: &str, place: usize) -> Color {
    match f {
        "read" => BLUE,
        "write" => VERMILION,
        _ => OPERATIONS[place % OPERATIONS.len()],
    }
}

/// The colour of a fault kind: the common ones always have theirs, others by their place among all kinds of the run.
pub(crate) fn fault_color(kind: &str, place: usize) -> Color {
    let fixed = FAULTS.iter().find(|(name, _)| *name == kind);
    fixed.map_or(OTHER_FAULTS[place % OTHER_FAULTS.len()], |&(_, color)| color)
}
