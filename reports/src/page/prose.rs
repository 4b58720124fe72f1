//! Sentences of checkers in a page: what they put between backticks, as all our messages do, is set as code.

use maud::{Markup, html};

/// `text` with its `names` set off. A backtick without a partner stays what it is.
pub(crate) fn prose(text: &str) -> Markup {
    let parts: Vec<&str> = text.split('`').collect();
    let is_paired = parts.len() % 2 == 1;
    html! {
        @if is_paired {
            @for (place, part) in parts.iter().enumerate() {
                @if place % 2 == 1 { code { (part) } } @else { (part) }
            }
        } @else { (text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_between_backticks_are_code_and_still_escaped() {
        assert_eq!(prose("`n1` lost <b>").into_string(), "<code>n1</code> lost &lt;b&gt;");
        assert_eq!(prose("it`s").into_string(), "it`s");
    }
}
