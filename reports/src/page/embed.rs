//! Data inside a page, so that nothing of it can end the element in which it stands, or open one.

use serde::Serialize;

/// `data` as JSON for an element of HTML.
pub(super) fn json(data: &impl Serialize) -> String {
    let json = serde_json::to_string(data).expect("plain data");
    // All of these can only stand inside of texts.
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}
