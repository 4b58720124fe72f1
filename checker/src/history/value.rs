//! Values of a history, kept compactly: each is one word, and equal values are equal words.
//!
//! Not a general JSON type: reading and writing it as such is for whoever needs it ([`Values::to_json`]). The one idea:
//! small integers stand in the word itself, and all else is kept once, in a table, so that checkers compare and
//! hash words, and a history of millions of operations needs no memory of its own for each of their values.

use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};
use serde_json::{Map, Number, Value};

/// One value. It has a meaning only together with the [`Values`] that it came from, unless it is `null`, a boolean or a
/// small integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Datum(u64);

const TAG_BITS: u32 = 3;
const CONSTANT: u64 = 0;
const INTEGER: u64 = 1;
const TEXT: u64 = 2;
const LIST: u64 = 3;
const MAP: u64 = 4;
const NUMBER: u64 = 5;

impl Datum {
    /// `null`.
    pub const NULL: Datum = Datum(CONSTANT);
    const FALSE: Datum = Datum(1 << TAG_BITS | CONSTANT);
    const TRUE: Datum = Datum(2 << TAG_BITS | CONSTANT);

    /// `true` or `false`.
    pub fn boolean(value: bool) -> Datum {
        if value { Datum::TRUE } else { Datum::FALSE }
    }

    /// The integer, if it is small enough for a word: between -2^60 and 2^60 - 1.
    pub fn integer(value: i64) -> Option<Datum> {
        let word = value << TAG_BITS;
        (word >> TAG_BITS == value).then_some(Datum(word.cast_unsigned() | INTEGER))
    }

    /// The integer that this is.
    pub fn as_integer(self) -> Option<i64> {
        (self.tag() == INTEGER).then_some(self.0.cast_signed() >> TAG_BITS)
    }

    /// The truth value that this is.
    pub fn as_boolean(self) -> Option<bool> {
        match self {
            Datum::TRUE => Some(true),
            Datum::FALSE => Some(false),
            _ => None,
        }
    }

    /// Whether this is `null`.
    pub fn is_null(self) -> bool {
        self == Datum::NULL
    }

    fn of(tag: u64, index: usize) -> Datum {
        Datum((index as u64) << TAG_BITS | tag)
    }

    fn tag(self) -> u64 {
        self.0 & ((1 << TAG_BITS) - 1)
    }

    fn index(self) -> usize {
        (self.0 >> TAG_BITS) as usize
    }
}

/// The table of all values that are no words by themselves, each once.
#[derive(Debug, Clone, Default)]
pub struct Values {
    texts: Table<Box<str>>,
    /// Floats, and integers that no word has room for, as they were written.
    numbers: Table<Box<str>>,
    lists: Lists,
    /// Keys and values in turns.
    maps: Lists,
}

impl Values {
    /// The text as a value.
    pub fn text(&mut self, text: &str) -> Datum {
        Datum::of(TEXT, self.texts.number(text))
    }

    /// The text that this is.
    pub fn as_text(&self, value: Datum) -> Option<&str> {
        (value.tag() == TEXT).then(|| &*self.texts.items[value.index()])
    }

    /// A list of values.
    pub fn list(&mut self, items: &[Datum]) -> Datum {
        Datum::of(LIST, self.lists.number(items))
    }

    /// The items of a list.
    pub fn as_list(&self, value: Datum) -> Option<&[Datum]> {
        (value.tag() == LIST).then(|| self.lists.get(value.index()))
    }

    /// A map, as keys and values in turns; equal ones are equal whatever the order of their keys.
    pub fn map(&mut self, pairs: &mut [(Datum, Datum)]) -> Datum {
        pairs.sort_unstable();
        let flat: Vec<Datum> = pairs.iter().flat_map(|&(key, value)| [key, value]).collect();
        Datum::of(MAP, self.maps.number(&flat))
    }

    /// Keys and values of a map in turns.
    pub fn as_map(&self, value: Datum) -> Option<&[Datum]> {
        (value.tag() == MAP).then(|| self.maps.get(value.index()))
    }

    /// A number that is no small integer, by its digits; one that is becomes a word.
    pub fn number(&mut self, digits: &str) -> Datum {
        if let Some(small) = digits.parse().ok().and_then(Datum::integer) {
            return small;
        }
        // Equal floats are equal words, however they were written. Integers are exact, however long.
        let float =
            digits.parse().ok().filter(|_| digits.contains(['.', 'e', 'E'])).and_then(Number::from_f64);
        let digits = float.map_or_else(|| digits.to_owned(), |float| float.to_string());
        Datum::of(NUMBER, self.numbers.number(&digits))
    }

    /// `value` as one of these.
    pub fn take(&mut self, value: &Value) -> Datum {
        match value {
            Value::Null => Datum::NULL,
            Value::Bool(truth) => Datum::boolean(*truth),
            Value::Number(number) => match number.as_i64().and_then(Datum::integer) {
                Some(small) => small,
                None => self.number(&number.to_string()),
            },
            Value::String(text) => self.text(text),
            Value::Array(items) => {
                let items: Vec<Datum> = items.iter().map(|item| self.take(item)).collect();
                self.list(&items)
            }
            Value::Object(map) => {
                let mut pairs: Vec<_> =
                    map.iter().map(|(key, value)| (self.text(key), self.take(value))).collect();
                self.map(&mut pairs)
            }
        }
    }

    /// `value` as JSON. A key of a map that is no text is written as its JSON, and a number that JSON would round as a text.
    pub fn to_json(&self, value: Datum) -> Value {
        match value.tag() {
            CONSTANT => value.as_boolean().map_or(Value::Null, Value::Bool),
            INTEGER => Value::from(value.as_integer().expect("its tag says so")),
            TEXT => Value::from(&*self.texts.items[value.index()]),
            LIST => self.lists.get(value.index()).iter().map(|&item| self.to_json(item)).collect(),
            MAP => {
                let pairs = self.maps.get(value.index()).as_chunks::<2>().0;
                let pair = |&[key, value]: &[Datum; 2]| (self.key_name(key), self.to_json(value));
                Value::Object(pairs.iter().map(pair).collect::<Map<_, _>>())
            }
            _ => {
                let digits = &*self.numbers.items[value.index()];
                let is_exact = digits.contains(['.', 'e', 'E'])
                    || digits.parse::<u64>().is_ok()
                    || digits.parse::<i64>().is_ok();
                let number = digits.parse::<Number>().ok().filter(|_| is_exact);
                number.map_or_else(|| Value::from(digits), Value::Number)
            }
        }
    }

    /// The key of a map as a text; one that is none is its JSON, and a number that JSON would round its digits.
    pub(super) fn key_name(&self, key: Datum) -> String {
        match self.to_json(key) {
            Value::String(text) => text,
            other => other.to_string(),
        }
    }

    /// Bytes that the table takes, about.
    pub fn memory_bytes(&self) -> usize {
        self.texts.memory_bytes()
            + self.numbers.memory_bytes()
            + self.lists.memory_bytes()
            + self.maps.memory_bytes()
    }
}

/// Things by number, and numbers by thing.
#[derive(Debug, Clone)]
struct Table<T> {
    items: Vec<T>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Bytes of what the items point to.
    pointed_bytes: usize,
}

/// What an allocator adds to each piece of memory, about.
const ALLOCATION_BYTES: usize = 16;

impl<T> Table<T> {
    fn memory_bytes(&self) -> usize {
        self.items.len() * size_of::<T>()
            + self.numbers.capacity() * (size_of::<u32>() + 1) * 8 / 7
            + self.pointed_bytes
    }
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table {
            items: Vec::new(),
            numbers: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            pointed_bytes: 0,
        }
    }
}

impl Table<Box<str>> {
    fn number(&mut self, text: &str) -> usize {
        let Table { items, numbers, hasher, pointed_bytes } = self;
        let hash = |text: &str| {
            let mut hasher = hasher.build_hasher();
            hasher.write(text.as_bytes());
            hasher.finish()
        };
        let entry = numbers.entry(
            hash(text),
            |&number| &*items[number as usize] == text,
            |&number| hash(&items[number as usize]),
        );
        let number = *entry.or_insert_with(|| small(items.len())).get();
        if number as usize == items.len() {
            items.push(text.into());
            *pointed_bytes += text.len() + ALLOCATION_BYTES;
        }
        number as usize
    }
}

/// Lists by number, all their items in one array.
#[derive(Debug, Clone, Default)]
struct Lists {
    items: Vec<Datum>,
    table: Table<(usize, u32)>,
}

impl Lists {
    fn get(&self, number: usize) -> &[Datum] {
        let (start, length) = self.table.items[number];
        &self.items[start..][..length as usize]
    }

    fn number(&mut self, list: &[Datum]) -> usize {
        let Lists { items, table } = self;
        let hasher = &table.hasher;
        let hash = |list: &[Datum]| {
            let mut hasher = hasher.build_hasher();
            list.iter().for_each(|item| hasher.write_u64(item.0));
            hasher.finish()
        };
        let ranges = &table.items;
        let of = |number: u32| {
            let (start, length) = ranges[number as usize];
            &items[start..][..length as usize]
        };
        let entry = table.numbers.entry(hash(list), |&number| of(number) == list, |&number| hash(of(number)));
        let number = *entry.or_insert_with(|| small(ranges.len())).get();
        if number as usize == table.items.len() {
            table.items.push((items.len(), small(list.len())));
            items.extend_from_slice(list);
        }
        number as usize
    }

    fn memory_bytes(&self) -> usize {
        self.items.len() * size_of::<Datum>() + self.table.memory_bytes()
    }
}

/// A history has fewer values than a word of 32 bits counts.
fn small(count: usize) -> u32 {
    u32::try_from(count).expect("fewer than 2^32 values")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_values_are_equal_words_and_come_back_as_they_were() {
        let mut values = Values::default();
        let all = [
            json!(null),
            json!(true),
            json!(false),
            json!(0),
            json!(-1),
            json!(i64::MAX),
            json!(i64::MIN),
            json!(u64::MAX),
            json!(1.5),
            json!(""),
            json!("x"),
            json!([]),
            json!([1, [2, "x"]]),
            json!({"a": 1, "b": [null]}),
        ];
        let words: Vec<Datum> = all.iter().map(|value| values.take(value)).collect();
        for (at, (value, &word)) in all.iter().zip(&words).enumerate() {
            assert_eq!(values.to_json(word), *value);
            assert_eq!(values.take(value), word);
            assert_eq!(words.iter().position(|other| *other == word), Some(at), "{value}");
        }
        assert_eq!(Datum::integer(1 << 60), None);
        assert_eq!(Datum::integer(-(1 << 60)).and_then(Datum::as_integer), Some(-(1 << 60)));
    }
}
