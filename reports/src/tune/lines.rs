//! Lines of a terminal: broken where it ends, and with nothing in them that moves its cursor. What they say is not known here.

use crate::terminal::{Row, Screen, paint, push_table};
use crate::wording::visible;

/// Lines are broken at the width of the screen, but never shorter than this.
const WIDTH_MIN: usize = 40;

/// Lines, broken where the screen ends.
pub(super) struct Text {
    text: String,
    screen: Screen,
}

impl Text {
    pub(super) fn new(screen: Screen) -> Text {
        Text { text: String::new(), screen }
    }

    /// All of it; it ends with a line feed.
    pub(super) fn finish(self) -> String {
        self.text
    }

    /// An empty line.
    pub(super) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// A line in a style, broken like any other.
    pub(super) fn painted(&mut self, words: &str, style: &str) {
        for part in broken(&one_line(words), self.width()) {
            self.text += &paint(&part, style, self.screen.color);
            self.text.push('\n');
        }
    }

    /// Letters in a line.
    pub(super) fn width(&self) -> usize {
        self.screen.width.max(WIDTH_MIN)
    }

    /// A line as it is: what is to be copied is never broken.
    pub(super) fn verbatim(&mut self, indent: &str, words: &str) {
        self.text += &format!("{indent}{}\n", one_line(words));
    }

    /// `first` begins the first line, and as many blanks the others.
    pub(super) fn wrapped(&mut self, first: &str, words: &str) {
        let margin = first.chars().count();
        let room = self.width() - margin;
        for (number, part) in broken(&one_line(words), room).iter().enumerate() {
            let begin = if number == 0 { first.to_owned() } else { " ".repeat(margin) };
            self.text += &format!("{begin}{part}\n");
        }
    }

    /// A table, and an empty line after it; nothing where it has only a head.
    pub(super) fn table(&mut self, table: &[Row]) {
        if table.len() > 1 {
            push_table(&mut self.text, table, self.screen.color);
            self.blank();
        }
    }
}

/// Nothing that came from outside moves the cursor or begins a line.
fn one_line(words: &str) -> String {
    visible(words).replace(['\n', '\t'], " ")
}

/// `words` in lines of at most `room` letters; a longer word has a line of its own.
fn broken(words: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        let last = lines.last_mut().expect("there is a line");
        let length = last.chars().count();
        if length == 0 {
            last.push_str(word);
        } else if length + 1 + word.chars().count() <= room {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// How wide a table is, as [`push_table`] sets it.
pub(super) fn width(table: &[Row]) -> usize {
    let columns = table.first().map_or(0, Vec::len);
    let widths =
        (0..columns).map(|column| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    widths.map(|width| width + 2).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_long_words_stay_whole() {
        assert_eq!(broken("one two  three", 7), ["one two", "three"]);
        assert_eq!(broken("a incomprehensible b", 4), ["a", "incomprehensible", "b"]);
        assert_eq!(broken("", 4), [""]);
    }
}
