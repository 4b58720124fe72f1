//! What standard output is: a terminal of some width, or a file.

use std::io::IsTerminal;

use rafture_reports::terminal::Screen;

/// Narrower, no drawing is readable.
const WIDTH_MIN: usize = 40;

/// Standard output.
pub(crate) fn screen() -> Screen {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return Screen::PLAIN;
    }
    let size = terminal_size::terminal_size_of(&out);
    let width = size.map_or(Screen::PLAIN.width, |(width, _)| usize::from(width.0).max(WIDTH_MIN));
    Screen { color: true, width }
}
