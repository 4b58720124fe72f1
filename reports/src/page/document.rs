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

/// What a screen reader goes by: headings in order, and of every table a caption and what heads its columns. Gives how many tables there are.
#[cfg(test)]
pub(crate) fn check_structure(page: &str) -> usize {
    let digit = |(at, _): (usize, &str)| page[at + 2..].chars().next()?.to_digit(10);
    let levels: Vec<u32> = page.match_indices("<h").filter_map(digit).collect();
    assert_eq!((levels[0], levels.iter().filter(|&&level| level == 1).count()), (1, 1));
    assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
    let tables: Vec<&str> = page.split("<table>").skip(1).collect();
    for table in &tables {
        let table = table.split("</table>").next().unwrap_or_default();
        assert!(table.starts_with("<caption>"), "{table}");
        let heads = table.matches("<th ").count() + table.matches("<th>").count();
        assert_eq!(heads, table.matches("scope=").count(), "{table}");
    }
    tables.len()
}
