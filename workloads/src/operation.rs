//! One operation as a client sees it: what is asked, and what is known afterwards.

use std::borrow::Cow;

use serde_json::Value;

/// What a client asks of a system.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The kind of operation, as histories name it: `read`, `write`, `cas`.
    pub f: &'static str,
    /// The object, if the workload has several.
    pub key: Option<String>,
    /// The argument; `null` where there is none.
    pub value: Value,
}

/// What a client knows when it stops waiting.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It happened, and this came of it.
    Ok(Value),
    /// It surely did not happen, and will not.
    Fail(Cow<'static, str>),
    /// It may have happened, or may yet.
    Info(Cow<'static, str>),
}
