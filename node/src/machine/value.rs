//! What a key can have: a string, a list or a set, each with a digest that a change costs no more than what it changes.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;

/// The value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    String(Bytes),
    List(VecDeque<Bytes>),
    Set(BTreeSet<Bytes>),
}

/// Lists are hashed as a polynomial in this (odd, so that no power of it loses bits).
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

impl Value {
    /// The digest of the value alone; `key_digest` makes it the key's.
    pub(super) fn digest(&self) -> u64 {
        match self {
            Value::String(value) => hash(1, value),
            Value::List(list) => {
                list.iter().enumerate().fold(2, |sum, (place, value)| sum.wrapping_add(at(place, value)))
            }
            Value::Set(members) => members.iter().fold(3, |sum, member| sum.wrapping_add(in_set(member))),
        }
    }
}

/// What an element adds to the digest of its list.
pub(super) fn at(place: usize, value: &[u8]) -> u64 {
    hash(4, value).wrapping_mul(BASE.wrapping_pow(place as u32))
}

/// The digest of a list before whose first element another is put.
pub(super) fn with_first(digest: u64, value: &[u8]) -> u64 {
    digest.wrapping_sub(2).wrapping_mul(BASE).wrapping_add(at(0, value)).wrapping_add(2)
}

/// The digest of a list whose first element is taken away.
pub(super) fn without_first(digest: u64, value: &[u8]) -> u64 {
    // Odd numbers have an inverse among the numbers of 64 bits, by Newton's iteration.
    let inverse =
        (0..6).fold(BASE, |guess, _| guess.wrapping_mul(2_u64.wrapping_sub(BASE.wrapping_mul(guess))));
    digest.wrapping_sub(2).wrapping_sub(at(0, value)).wrapping_mul(inverse).wrapping_add(2)
}

/// What a member adds to the digest of its set.
pub(super) fn in_set(member: &[u8]) -> u64 {
    hash(5, member)
}

/// What a key with a value of this digest adds to the digest of the state.
pub(super) fn key_digest(key: &[u8], value: u64) -> u64 {
    mix(hash(6, key), value)
}

/// A hash of bytes that is the same everywhere and for ever: eight bytes at a time.
pub(super) fn hash(kind: u64, bytes: &[u8]) -> u64 {
    let mut state = mix(kind ^ BASE, bytes.len() as u64);
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        state = mix(state, u64::from_le_bytes(*chunk));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(state, u64::from_le_bytes(last))
}

/// Both numbers, into all bits of one.
pub(super) fn mix(one: u64, other: u64) -> u64 {
    let product = u128::from(one ^ 0xa076_1d64_78bd_642f) * u128::from(other ^ 0xe703_7ed1_a0b4_28db);
    let folded = (product >> 64) as u64 ^ product as u64;
    folded ^ one.rotate_left(23).wrapping_add(other.rotate_left(41))
}
