//! `rafture tune`: election timeouts, measured and recommended.

#[allow(dead_code, reason = "the command comes with its arguments")]
pub(crate) mod real;
