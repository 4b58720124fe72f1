//! Times in files: what never came to its end is longer than all else, and JSON has no word for that but `null`.

use serde::{Deserialize, Deserializer, Serializer};

/// Writes a number, or `null` for one that is not finite.
pub(super) fn serialize<S: Serializer>(ms: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match ms.is_finite() {
        true => serializer.serialize_f64(*ms),
        false => serializer.serialize_none(),
    }
}

/// Reads it again.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
}
