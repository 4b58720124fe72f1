//! One parser for EDN and JSON: text in, values of a history out.
//!
//! Not a strict one of either: what Clojure prints is read, keywords and symbols as texts without their colon, sets and lists
//! as lists, tags are passed over. A form that ends too early is told from one that is wrong, so that text can come in pieces.

use super::super::value::{Datum, Values};

/// Text and how far it has been read.
pub(super) struct Forms<'t> {
    pub(super) text: &'t [u8],
    pub(super) at: usize,
    /// Colons are separators, not the beginning of keywords.
    pub(super) is_json: bool,
}

/// Why there is no form.
#[derive(Debug, PartialEq)]
pub(super) enum Stop {
    /// The text ended.
    End,
    /// It is none: where, and why.
    Wrong(usize, String),
}

/// Deeper nesting is no history.
const DEPTH_MAX: usize = 64;

impl<'t> Forms<'t> {
    /// The next form.
    pub(super) fn form(&mut self, values: &mut Values) -> Result<Datum, Stop> {
        self.nested(values, 0)
    }

    /// The next byte that is neither space nor comment; it stays.
    pub(super) fn peek(&mut self) -> Result<u8, Stop> {
        loop {
            let byte = *self.text.get(self.at).ok_or(Stop::End)?;
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | b',' | 0x0c => self.at += 1,
                b';' => {
                    let rest = &self.text[self.at..];
                    self.at += memchr::memchr(b'\n', rest).ok_or(Stop::End)?;
                }
                _ => return Ok(byte),
            }
        }
    }

    fn wrong<T>(&self, message: impl Into<String>) -> Result<T, Stop> {
        Err(Stop::Wrong(self.at, message.into()))
    }

    fn nested(&mut self, values: &mut Values, depth: usize) -> Result<Datum, Stop> {
        if depth > DEPTH_MAX {
            return self.wrong(format!("nested deeper than {DEPTH_MAX}"));
        }
        match self.peek()? {
            b'[' => self.list(values, depth, b']'),
            b'(' => self.list(values, depth, b')'),
            b'{' => self.map(values, depth),
            b'"' => {
                let text = self.string()?;
                Ok(values.text(&text))
            }
            b'#' => self.dispatched(values, depth),
            b'^' | b'\'' | b'`' | b'@' => {
                self.at += 1;
                self.nested(values, depth + 1)
            }
            b'\\' => {
                self.at += 1;
                let word = self.word()?;
                Ok(values.text(word))
            }
            byte @ (b']' | b')' | b'}') => self.wrong(format!("`{}` closes nothing", byte as char)),
            _ => {
                let start = self.at;
                let word = self.word()?;
                atom(values, word).ok_or_else(|| Stop::Wrong(start, format!("`{word}` is no value")))
            }
        }
    }

    fn list(&mut self, values: &mut Values, depth: usize, end: u8) -> Result<Datum, Stop> {
        self.at += 1;
        let mut items = Vec::new();
        while self.peek()? != end {
            if self.is_discarded(values, depth)? {
                continue;
            }
            items.push(self.nested(values, depth + 1)?);
        }
        self.at += 1;
        Ok(values.list(&items))
    }

    fn map(&mut self, values: &mut Values, depth: usize) -> Result<Datum, Stop> {
        self.at += 1;
        let mut pairs = Vec::new();
        while self.peek()? != b'}' {
            if self.is_discarded(values, depth)? {
                continue;
            }
            let key = self.nested(values, depth + 1)?;
            if self.is_json {
                if self.peek()? != b':' {
                    return self.wrong("expected `:`");
                }
                self.at += 1;
            }
            if self.peek()? == b'}' {
                return self.wrong("a key without its value");
            }
            pairs.push((key, self.nested(values, depth + 1)?));
        }
        self.at += 1;
        pairs.sort_unstable();
        if pairs.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return self.wrong("a map has the same key twice");
        }
        Ok(values.map(&mut pairs))
    }

    /// `#_` and the form behind it say nothing.
    fn is_discarded(&mut self, values: &mut Values, depth: usize) -> Result<bool, Stop> {
        if !self.text[self.at..].starts_with(b"#_") {
            return Ok(false);
        }
        self.at += 2;
        self.nested(values, depth + 1)?;
        Ok(true)
    }

    /// A set, or a form with a tag.
    fn dispatched(&mut self, values: &mut Values, depth: usize) -> Result<Datum, Stop> {
        self.at += 1;
        match self.text.get(self.at).ok_or(Stop::End)? {
            b'{' => self.list(values, depth, b'}'),
            b'_' => {
                self.at += 1;
                self.nested(values, depth + 1)?;
                self.nested(values, depth + 1)
            }
            b'"' => self.nested(values, depth + 1),
            _ => {
                self.word()?;
                self.nested(values, depth + 1)
            }
        }
    }

    /// Up to the next byte that cannot belong to a word. At the end of the text more of it might come.
    fn word(&mut self) -> Result<&'t str, Stop> {
        let start = self.at;
        let is_end = |byte: &u8| {
            matches!(
                byte,
                b' ' | b'\t' | b'\n' | b'\r' | b',' | b'[' | b']' | b'(' | b')' | b'{' | b'}' | b'"' | b';'
            ) || self.is_json && *byte == b':'
        };
        let length = self.text[start..].iter().position(is_end).ok_or(Stop::End)?;
        let word = &self.text[start..start + length];
        match std::str::from_utf8(word) {
            Ok(word) if !word.is_empty() => {
                self.at += length;
                Ok(word)
            }
            Ok(_) => self.wrong("expected a value"),
            Err(_) => self.wrong("not UTF-8"),
        }
    }

    fn string(&mut self) -> Result<String, Stop> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            let byte = *self.text.get(self.at).ok_or(Stop::End)?;
            self.at += 1;
            match byte {
                b'"' => break,
                b'\\' => {
                    let escaped = self.escaped()?;
                    text.extend_from_slice(escaped.encode_utf8(&mut [0; 4]).as_bytes());
                }
                _ => text.push(byte),
            }
        }
        String::from_utf8(text).or_else(|_| self.wrong("not UTF-8"))
    }

    fn escaped(&mut self) -> Result<char, Stop> {
        let byte = *self.text.get(self.at).ok_or(Stop::End)?;
        self.at += 1;
        Ok(match byte {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4).ok_or(Stop::End)?;
                let number =
                    std::str::from_utf8(digits).ok().and_then(|text| u32::from_str_radix(text, 16).ok());
                let Some(number) = number else {
                    return self.wrong("`\\u` needs four digits");
                };
                self.at += 4;
                // Half of a pair says nothing by itself.
                char::from_u32(number).unwrap_or('\u{fffd}')
            }
            byte @ (b'"' | b'\\' | b'/') => byte as char,
            _ => return self.wrong("an escape that does not exist"),
        })
    }
}

fn atom(values: &mut Values, word: &str) -> Option<Datum> {
    Some(match word {
        "nil" | "null" => Datum::NULL,
        "true" => Datum::boolean(true),
        "false" => Datum::boolean(false),
        _ => match word.as_bytes() {
            [b':', name @ ..] if !name.is_empty() => values.text(&word[1..]),
            [b'0'..=b'9', ..] | [b'-' | b'+', b'0'..=b'9', ..] => {
                let digits = word.trim_start_matches('+').trim_end_matches(['N', 'M']);
                let is_ratio = digits
                    .split_once('/')
                    .is_some_and(|(one, other)| one.parse::<i64>().is_ok() && other.parse::<i64>().is_ok());
                if digits.parse::<f64>().is_err() && !is_ratio {
                    return None;
                }
                values.number(digits)
            }
            [byte, ..]
                if byte.is_ascii_alphabetic() || b"*!_?$%&=<>.-+/|".contains(byte) || !byte.is_ascii() =>
            {
                values.text(word)
            }
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, is_json: bool) -> String {
        let mut values = Values::default();
        let text = format!("{text} ");
        let mut forms = Forms { text: text.as_bytes(), at: 0, is_json };
        match forms.form(&mut values) {
            Ok(value) => values.to_json(value).to_string(),
            Err(Stop::End) => "end".to_owned(),
            Err(Stop::Wrong(at, message)) => format!("{at}: {message}"),
        }
    }

    #[test]
    fn what_clojure_prints_is_read() {
        let cases = [
            ("{:type :ok, :value [:r 1 nil]}", r#"{"type":"ok","value":["r",1,null]}"#),
            ("#jepsen.history.Op{:index 0, :time -1}", r#"{"index":0,"time":-1}"#),
            ("#{3 1}", "[3,1]"),
            ("(1 #_2 3N) ; a comment", "[1,3]"),
            (r#"["a\"\n\u0041" \b 1.5M 1/2]"#, r#"["a\"\nA","b",1.5,"1/2"]"#),
            ("{0 10, 1 20}", r#"{"0":10,"1":20}"#),
            ("#inst \"2020\"", r#""2020""#),
            ("[1", "end"),
            ("\"abc", "end"),
            ("{:a}", "3: a key without its value"),
            ("]", "0: `]` closes nothing"),
            ("[1 2x]", "3: `2x` is no value"),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text, false), expected, "{text}");
        }
        assert_eq!(read(&"[".repeat(100), false), "65: nested deeper than 64");
        assert_eq!(read(r#"{"a":[1,{"b":null}], "c" : "d"}"#, true), r#"{"a":[1,{"b":null}],"c":"d"}"#);
    }
}
