//! The frame that every self-contained page stands in: one file, its styles and scripts inside.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::wording;

/// A whole page. `styles` and `data` (elements with what scripts read) stand as they are; of all the rest nothing is invisible.
pub(crate) fn document(
    title: &str,
    styles: &[&str],
    main: &Markup,
    data: &Markup,
    scripts: &[&str],
) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { @for style in styles { (PreEscaped(style)) } }
            }
            body {
                main { (main) }
                (data)
                @for script in scripts { script { (PreEscaped(script)) } }
            }
        }
    };
    wording::visible(&page.into_string()).into_owned()
}
