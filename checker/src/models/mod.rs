//! Models: what a single copy of the object, asked one operation at a time, would answer.
//!
//! [`model`](Model) is the trait, for one's own models too; each other file is a model.

mod model;
mod register;

use std::fmt;
use std::str::FromStr;

pub use model::Model;
pub use register::{Call, Register};

/// The models that have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModelKind {
    /// `read` and `write`; `null` at first.
    Register,
    /// `read`, `write` and `cas [old, new]`; `null` at first. A `cas` that does not match is a `fail`.
    CasRegister,
}

impl ModelKind {
    /// All of them.
    pub const ALL: [ModelKind; 2] = [ModelKind::Register, ModelKind::CasRegister];

    fn name(self) -> &'static str {
        match self {
            ModelKind::Register => "register",
            ModelKind::CasRegister => "cas-register",
        }
    }
}

impl fmt::Display for ModelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no model has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown model `{0}` (hint: one of register, cas-register)")]
pub struct UnknownModel(String);

impl FromStr for ModelKind {
    type Err = UnknownModel;

    fn from_str(name: &str) -> Result<ModelKind, UnknownModel> {
        ModelKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| UnknownModel(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for kind in ModelKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let error = "cas".parse::<ModelKind>().expect_err("no such model");
        assert_eq!(error.to_string(), "unknown model `cas` (hint: one of register, cas-register)");
    }
}
