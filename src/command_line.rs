//! The line that repeats a run, as text: flags are taken from it and put into it, and what a shell would take apart is quoted.

/// A word that a shell takes as it is.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// The line without some flags, each with its value, and with others at its end.
pub(crate) fn with_flags(line: &str, without: &[&str], with: &[(&str, &str)]) -> String {
    let words = words(line);
    let is_dropped = |word: &String| word.strip_prefix("--").is_some_and(|name| without.contains(&name));
    let mut kept = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match is_dropped(word) {
            true => drop(rest.next()),
            false => kept.push(quoted(word)),
        }
    }
    kept.extend(with.iter().map(|(name, value)| format!("--{name} {}", quoted(value))));
    kept.join(" ")
}

/// The words of a line that was made of quoted ones.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    let mut is_quoted = false;
    while let Some(character) = characters.next() {
        match character {
            '\'' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            '\\' if !is_quoted => word.get_or_insert_default().extend(characters.next()),
            ' ' if !is_quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_quoted() {
        for word in ["runs", "my runs", "it's", "", "a'b 'c", "150ms..300ms", "kill@n1,partition:ring"] {
            assert_eq!(words(&format!("rafture --x {}", quoted(word))), ["rafture", "--x", word]);
        }
        assert_eq!(quoted("kill@n1,partition:ring"), "kill@n1,partition:ring");
    }

    #[test]
    fn flags_come_and_go() {
        let line = "rafture run --faults kill --store 'my runs' --time-limit 9s --seed 7";
        let changed =
            with_flags(line, &["faults", "time-limit", "schedule"], &[("schedule", "my runs/x.toml")]);
        assert_eq!(changed, "rafture run --store 'my runs' --seed 7 --schedule 'my runs/x.toml'");
    }
}
