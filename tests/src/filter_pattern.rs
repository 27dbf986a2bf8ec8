//! CloudWatch Logs' filter patterns, evaluated here: whether a metric filter would count a line cannot
//! otherwise be known before it runs in an account.
//!
//! After the Amazon CloudWatch Logs User Guide, "Filter pattern syntax for metric filters, subscription filters,
//! filter log events, and Live Tail"; its examples are the tests below. Three kinds:
//!
//! | pattern | matches |
//! | --- | --- |
//! | `{ $.a.b = "x" && $.c[0] >= 5 }` | JSON objects, by their fields |
//! | `[ip, ..., status = 4*, bytes]` | lines of fields with spaces between them; brackets and quotes hold a field together |
//! | `ERROR -"not this"`, `?ONE ?OTHER` | lines that hold all terms and none of the excluded ones; any of the optional ones |
//!
//! Where the guide is silent, [`FilterPattern::verdict`] says so instead of guessing: a field that is not there, or is
//! neither text nor number, under `!=`; text that looks like a number held against a number. A pattern whose
//! verdict on a real line is unknown should be written in another way.
//!
//! Left out, with an error that says so: regular expressions (`%…%`).

use std::cmp::Ordering;
use std::fmt;

use serde_json::Value;

/// The longest pattern that `PutMetricFilter` takes, in characters. It bounds recursion too.
const MAX_CHARS: usize = 1024;

/// The guide's quotas of wildcards in selectors: in one selector, and in one pattern.
const MAX_WILDCARDS: (usize, usize) = (1, 3);

/// A pattern that CloudWatch would take, ready to be held against lines.
#[derive(Clone, Debug, PartialEq)]
pub struct FilterPattern(Kind);

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Json(Expression<JsonCondition>),
    Fields(Vec<Field>),
    Terms(Terms),
}

/// Why a pattern is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError(String);

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PatternError {}

fn refused<T>(why: impl Into<String>) -> Result<T, PatternError> {
    Err(PatternError(why.into()))
}

impl FilterPattern {
    /// Reads a pattern. Fails with what CloudWatch would not take, or what is left out here.
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        if pattern.chars().count() > MAX_CHARS {
            return refused(format!("a pattern has at most {MAX_CHARS} characters"));
        }
        let trimmed = pattern.trim();
        let mut reader = Reader { rest: trimmed };
        let kind = if reader.take("{") {
            let mut wildcards = 0;
            let expression = Expression::read(&mut reader, &mut |reader| {
                let condition = JsonCondition::read(reader)?;
                wildcards += condition.selector.wildcards();
                if wildcards > MAX_WILDCARDS.1 {
                    return refused("a pattern has at most three wildcard selectors");
                }
                Ok(condition)
            })?;
            reader.expect("}")?;
            Kind::Json(expression)
        } else if reader.take("[") {
            Kind::Fields(read_fields(&mut reader)?)
        } else {
            Kind::Terms(Terms::read(&mut reader)?)
        };
        match reader.rest.trim() {
            "" => Ok(Self(kind)),
            rest => refused(format!("nothing may follow the pattern: {rest:?}")),
        }
    }

    /// Whether a filter with this pattern counts `line`; none where the guide does not say.
    pub fn verdict(&self, line: &str) -> Option<bool> {
        match &self.0 {
            Kind::Terms(terms) => Some(terms.match_line(line)),
            Kind::Fields(fields) => Some(extract(fields, line).is_some()),
            Kind::Json(expression) => match serde_json::from_str::<Value>(line) {
                Ok(json @ Value::Object(_)) => expression.verdict(&mut |c| c.verdict(&json)),
                _ => Some(false),
            },
        }
    }

    /// Whether it surely counts it.
    pub fn matches(&self, line: &str) -> bool {
        self.verdict(line) == Some(true)
    }

    /// The number that a filter with this pattern and this metric value publishes for `line`: a constant (`1`), a
    /// JSON field (`$.latency`) or a named field (`$bytes`). Nothing where the line is not matched, or the field is not a number.
    pub fn published(&self, value: &str, line: &str) -> Result<Option<f64>, PatternError> {
        let constant = number(value);
        if constant.is_none() && !value.starts_with('$') {
            return refused(format!("neither a number nor a field: {value:?}"));
        }
        let json = match &self.0 {
            Kind::Json(_) if constant.is_none() => Some(selector_of(value)?),
            _ => None,
        };
        if !self.matches(line) {
            return Ok(None);
        }
        if constant.is_some() {
            return Ok(constant);
        }
        Ok(match (&self.0, json) {
            (Kind::Json(_), Some(selector)) => {
                let line: Value = serde_json::from_str(line).unwrap_or_default();
                match selector.select(&line)[..] {
                    [found] => found.as_f64(),
                    _ => None,
                }
            }
            (Kind::Fields(fields), _) => {
                let name = value.trim_start_matches('$');
                let values = extract(fields, line).unwrap_or_default();
                let found = values.iter().find(|(field, _)| *field == name);
                found.and_then(|(_, text)| number(text))
            }
            _ => None,
        })
    }
}

/// What `selector` (`$.a.b[0]`) points to in `json`; several where it has a wildcard.
pub fn select<'a>(selector: &str, json: &'a Value) -> Result<Vec<&'a Value>, PatternError> {
    Ok(selector_of(selector)?.select(json))
}

fn selector_of(text: &str) -> Result<Selector, PatternError> {
    let mut reader = Reader { rest: text };
    let selector = Selector::read(&mut reader)?;
    match reader.rest {
        "" => Ok(selector),
        rest => refused(format!("not part of a selector: {rest:?}")),
    }
}

// ---- Conditions with && and || between them

#[derive(Clone, Debug, PartialEq)]
enum Expression<T> {
    Is(T),
    All(Vec<Self>),
    Any(Vec<Self>),
}

impl<T> Expression<T> {
    /// Parentheses bind closest, then `&&`, then `||`.
    fn read(
        reader: &mut Reader<'_>,
        condition: &mut dyn FnMut(&mut Reader<'_>) -> Result<T, PatternError>,
    ) -> Result<Self, PatternError> {
        let mut any = Vec::new();
        loop {
            let mut all = Vec::new();
            loop {
                if reader.take("(") {
                    all.push(Self::read(reader, condition)?);
                    reader.expect(")")?;
                } else {
                    all.push(Self::Is(condition(reader)?));
                }
                if !reader.take("&&") {
                    break;
                }
            }
            any.push(match all.len() {
                1 => all.remove(0),
                _ => Self::All(all),
            });
            if !reader.take("||") {
                break;
            }
        }
        Ok(match any.len() {
            1 => any.remove(0),
            _ => Self::Any(any),
        })
    }

    /// What is not known stays so unless the rest decides.
    fn verdict(&self, of: &mut dyn FnMut(&T) -> Option<bool>) -> Option<bool> {
        let (parts, decides) = match self {
            Self::Is(condition) => return of(condition),
            Self::All(parts) => (parts, false),
            Self::Any(parts) => (parts, true),
        };
        let mut verdict = Some(!decides);
        for part in parts {
            match part.verdict(of) {
                Some(part) if part == decides => return Some(decides),
                Some(_) => {}
                None => verdict = None,
            }
        }
        verdict
    }
}

// ---- Comparisons

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let all = [
            ("!=", Self::NotEqual),
            ("<=", Self::LessOrEqual),
            (">=", Self::GreaterOrEqual),
            ("=", Self::Equal),
            ("<", Self::Less),
            (">", Self::Greater),
        ];
        let found = all.into_iter().find(|(sign, _)| reader.take(sign));
        found.map(|(_, operator)| operator)
    }

    fn is_order(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }

    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::Equal => left.partial_cmp(&right) == Some(Ordering::Equal),
            Self::NotEqual => left.partial_cmp(&right) != Some(Ordering::Equal),
        }
    }
}

/// The right side: text with an asterisk at its ends at most, and a number if it looks like one.
#[derive(Clone, Debug, PartialEq)]
struct Operand {
    before: bool,
    text: String,
    after: bool,
    number: Option<f64>,
}

impl Operand {
    fn read(reader: &mut Reader<'_>, operator: Operator) -> Result<Self, PatternError> {
        reader.skip_blanks();
        if reader.rest.starts_with('%') {
            return refused("regular expressions (%…%) are not evaluated here");
        }
        let (text, quoted) = if let Some(text) = reader.quoted()? {
            (text, true)
        } else {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-+.*/:".contains(c);
            (reader.word(is_plain).to_owned(), false)
        };
        if text.is_empty() && !quoted {
            return refused(format!("a value is missing before {:?}", reader.rest));
        }
        let number = if quoted { None } else { number(&text) };
        if operator.is_order() && number.is_none() {
            return refused(format!("{text:?} is not a number, and order needs one"));
        }
        let (before, rest) = match text.strip_prefix('*') {
            Some(rest) => (true, rest),
            None => (false, &text[..]),
        };
        let (text, after) = match rest.strip_suffix('*') {
            Some(rest) => (rest, true),
            // An asterisk alone is both of its ends.
            None => (rest, before && rest.is_empty()),
        };
        Ok(Self {
            before,
            text: text.to_owned(),
            after,
            number,
        })
    }

    fn has_wildcard(&self) -> bool {
        self.before || self.after
    }

    /// An asterisk stands for anything at an end; within the text it is itself.
    fn is_text(&self, value: &str) -> bool {
        match (self.before, self.after) {
            (false, false) => value == self.text,
            (false, true) => value.starts_with(&self.text),
            (true, false) => value.ends_with(&self.text),
            (true, true) => value.contains(&self.text),
        }
    }
}

/// An integer or a decimal with a sign and an exponent, both optional.
fn number(text: &str) -> Option<f64> {
    let is_digit = |c: char| c.is_ascii_digit();
    // Rust's own reading takes infinities and "nan" too.
    if !text.contains(is_digit) || text.contains(|c: char| !is_digit(c) && !"+-.eE".contains(c)) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

// ---- JSON

#[derive(Clone, Debug, PartialEq)]
struct JsonCondition {
    selector: Selector,
    test: JsonTest,
}

#[derive(Clone, Debug, PartialEq)]
enum JsonTest {
    Compares(Operator, Operand),
    IsNull,
    Is(bool),
    NotExists,
}

impl JsonCondition {
    fn read(reader: &mut Reader<'_>) -> Result<Self, PatternError> {
        reader.skip_blanks();
        let selector = Selector::read(reader)?;
        let test = if reader.take_word("IS") {
            if reader.take_word("NULL") {
                JsonTest::IsNull
            } else if reader.take_word("TRUE") {
                JsonTest::Is(true)
            } else if reader.take_word("FALSE") {
                JsonTest::Is(false)
            } else {
                return refused("IS takes NULL, TRUE or FALSE; there is no IS NOT");
            }
        } else if reader.take_word("NOT") {
            if !reader.take_word("EXISTS") {
                return refused("NOT is followed by EXISTS only");
            }
            JsonTest::NotExists
        } else if reader.take_word("EXISTS") {
            return refused("there is no EXISTS; compare with `= \"*\"`");
        } else {
            let Some(operator) = Operator::read(reader) else {
                return refused(format!("a comparison is missing at {:?}", reader.rest));
            };
            JsonTest::Compares(operator, Operand::read(reader, operator)?)
        };
        Ok(Self { selector, test })
    }

    fn verdict(&self, json: &Value) -> Option<bool> {
        let found = self.selector.select(json);
        match &self.test {
            JsonTest::NotExists => Some(found.is_empty()),
            JsonTest::IsNull => Some(found.iter().any(|value| value.is_null())),
            JsonTest::Is(wanted) => Some(found.iter().any(|value| *value == wanted)),
            // Nothing equals or exceeds what is not there; whether it differs, the guide does not say.
            JsonTest::Compares(operator, _) if found.is_empty() => {
                (*operator != Operator::NotEqual).then_some(false)
            }
            JsonTest::Compares(operator, operand) => {
                let mut verdict = Some(false);
                for value in found {
                    match compare(value, *operator, operand) {
                        Some(true) => return Some(true),
                        Some(false) => {}
                        None => verdict = None,
                    }
                }
                verdict
            }
        }
    }
}

fn compare(value: &Value, operator: Operator, operand: &Operand) -> Option<bool> {
    let equal = match value {
        // "If a property selector points to an array or object, the filter pattern won't match".
        Value::Array(_) | Value::Object(_) => return Some(false),
        Value::Null | Value::Bool(_) => {
            return (operator != Operator::NotEqual && !operand.has_wildcard()).then_some(false);
        }
        Value::Number(value) => {
            let value = value.as_f64()?;
            match operand.number {
                Some(number) => return Some(operator.holds(value, number)),
                None if operand.has_wildcard() => operand.is_text(&value.to_string()),
                // Quoted digits against a number.
                None if number(&operand.text).is_some() => return None,
                None => false,
            }
        }
        Value::String(_) if operator.is_order() => return Some(false),
        // Digits without quotes against text.
        Value::String(value) if operand.number.is_some() && number(value).is_some() => return None,
        Value::String(value) => operand.is_text(value),
    };
    Some(equal == (operator == Operator::Equal))
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Selector(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Property(String),
    Element(usize),
    Any,
}

impl Selector {
    fn read(reader: &mut Reader<'_>) -> Result<Self, PatternError> {
        if !reader.rest.starts_with("$.") {
            return refused(format!("a selector begins with $. ({:?})", reader.rest));
        }
        reader.skip(1);
        let mut steps = Vec::new();
        loop {
            if reader.rest.starts_with(".[") {
                // Names with dots: $.['cluster.name']
                reader.skip(2);
                let Some((name, rest)) = reader
                    .rest
                    .strip_prefix('\'')
                    .and_then(|rest| rest.split_once("']"))
                else {
                    return refused("a name in brackets is written ['name']");
                };
                reader.rest = rest;
                steps.push(Step::Property(name.to_owned()));
            } else if reader.rest.starts_with(".*") {
                reader.skip(2);
                steps.push(Step::Any);
            } else if reader.rest.starts_with('.') {
                reader.skip(1);
                let name = reader.word(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
                if name.is_empty() {
                    return refused(format!("a name is missing at {:?}", reader.rest));
                }
                steps.push(Step::Property(name.to_owned()));
            } else if reader.rest.starts_with("[*]") {
                reader.skip(3);
                steps.push(Step::Any);
            } else if reader.rest.starts_with('[') {
                reader.skip(1);
                let Ok(index) = reader.word(|c| c.is_ascii_digit()).parse() else {
                    return refused(format!(
                        "an element's number is missing at {:?}",
                        reader.rest
                    ));
                };
                reader.expect("]")?;
                steps.push(Step::Element(index));
            } else {
                break;
            }
        }
        let selector = Self(steps);
        if selector.wildcards() > MAX_WILDCARDS.0 {
            return refused("a selector has at most one wildcard");
        }
        Ok(selector)
    }

    fn wildcards(&self) -> usize {
        self.0.iter().filter(|step| **step == Step::Any).count()
    }

    fn select<'a>(&self, json: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![json];
        for step in &self.0 {
            let next = found.into_iter().flat_map(|value| match step {
                Step::Property(name) => value.get(name).into_iter().collect(),
                Step::Element(index) => value.get(index).into_iter().collect(),
                Step::Any => match value {
                    Value::Array(elements) => elements.iter().collect(),
                    Value::Object(fields) => fields.values().collect(),
                    _ => Vec::new(),
                },
            });
            found = next.collect();
        }
        found
    }
}

// ---- Fields with spaces between them

#[derive(Clone, Debug, PartialEq)]
enum Field {
    /// As many as needed, none too.
    Ellipsis,
    One {
        name: String,
        condition: Option<Expression<(Operator, Operand)>>,
    },
}

fn read_fields(reader: &mut Reader<'_>) -> Result<Vec<Field>, PatternError> {
    let mut fields = Vec::new();
    loop {
        reader.skip_blanks();
        if reader.take("...") || reader.take("…") {
            if fields.contains(&Field::Ellipsis) {
                return refused("a pattern has at most one ellipsis");
            }
            fields.push(Field::Ellipsis);
        } else {
            fields.push(read_field(reader)?);
        }
        if reader.take("]") {
            return Ok(fields);
        }
        reader.expect(",")?;
    }
}

fn read_field(reader: &mut Reader<'_>) -> Result<Field, PatternError> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut ahead = Reader { rest: reader.rest };
    let name = ahead.word(is_name).to_owned();
    ahead.skip_blanks();
    if ahead.rest.starts_with([',', ']']) {
        *reader = ahead;
        let condition = None;
        return Ok(Field::One { name, condition });
    }
    let condition = Expression::read(reader, &mut |reader| {
        reader.skip_blanks();
        let of = reader.word(is_name);
        if of != name || name.is_empty() {
            return refused(format!("the condition of field {name:?} names {of:?}"));
        }
        let Some(operator) = Operator::read(reader) else {
            return refused(format!("a comparison is missing at {:?}", reader.rest));
        };
        Ok((operator, Operand::read(reader, operator)?))
    })?;
    let condition = Some(condition);
    Ok(Field::One { name, condition })
}

/// The line's fields by name, if it has these and they are as they should be. A last field without a
/// condition takes whatever is left: the guide's `[w1=ERROR, w2]` matches a whole sentence.
fn extract<'a>(fields: &'a [Field], line: &str) -> Option<Vec<(&'a str, String)>> {
    let mut values = split(line);
    let ellipsis = fields.iter().position(|field| *field == Field::Ellipsis);
    let named = fields.len() - usize::from(ellipsis.is_some());
    let spare = values.len().checked_sub(named)?;
    if let Some(at) = ellipsis {
        values.drain(at..at + spare);
    } else if spare > 0 {
        match fields.last()? {
            Field::One {
                condition: None, ..
            } => {
                let rest = values.split_off(named - 1);
                values.push(rest.join(" "));
            }
            _ => return None,
        }
    }
    let named = fields.iter().filter_map(|field| match field {
        Field::Ellipsis => None,
        Field::One { name, condition } => Some((name.as_str(), condition)),
    });
    let mut extracted = Vec::new();
    for ((name, condition), value) in named.zip(values) {
        if let Some(condition) = condition {
            let holds = condition.verdict(&mut |(operator, operand)| {
                Some(field_compares(&value, *operator, operand))
            });
            if holds != Some(true) {
                return None;
            }
        }
        extracted.push((name, value));
    }
    Some(extracted)
}

fn field_compares(value: &str, operator: Operator, operand: &Operand) -> bool {
    match (number(value), operand.number) {
        (Some(value), Some(number)) => operator.holds(value, number),
        _ if operator.is_order() => false,
        _ => operand.is_text(value) == (operator == Operator::Equal),
    }
}

/// Characters between brackets or quotes are one field.
fn split(line: &str) -> Vec<String> {
    let mut fields = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let closing = match first {
            '[' => Some(']'),
            '"' => Some('"'),
            _ => None,
        };
        let held = closing.and_then(|closing| rest[1..].split_once(closing));
        let (field, after) = held
            .or_else(|| rest.split_once(char::is_whitespace))
            .unwrap_or((rest, ""));
        fields.push(field.to_owned());
        rest = after.trim_start();
    }
    fields
}

// ---- Terms

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Terms {
    required: Vec<String>,
    optional: Vec<String>,
    excluded: Vec<String>,
}

impl Terms {
    fn read(reader: &mut Reader<'_>) -> Result<Self, PatternError> {
        let mut terms = Self::default();
        loop {
            reader.skip_blanks();
            if reader.rest.is_empty() {
                break;
            }
            let list = if reader.take("-") {
                &mut terms.excluded
            } else if reader.take("?") {
                &mut terms.optional
            } else {
                &mut terms.required
            };
            let term = match reader.quoted()? {
                Some(phrase) => phrase,
                None => reader
                    .word(|c| c.is_ascii_alphanumeric() || c == '_')
                    .to_owned(),
            };
            if term.is_empty() && !reader.rest.is_empty() {
                let rest = reader.rest;
                if rest.starts_with('%') {
                    return refused("regular expressions (%…%) are not evaluated here");
                }
                return refused(format!("put double quotes around {rest:?}"));
            }
            if !reader.rest.is_empty() && !reader.rest.starts_with(char::is_whitespace) {
                let rest = reader.rest;
                return refused(format!("put double quotes around the term before {rest:?}"));
            }
            list.push(term);
        }
        Ok(terms)
    }

    fn match_line(&self, line: &str) -> bool {
        // `" "` is the guide's way to match everything.
        let has = |term: &String| line.contains(&**term) || term.trim().is_empty();
        let required = self.required.iter().all(has);
        let excluded = self.excluded.iter().any(has);
        // "If you combine "?" with other filter patterns, all question mark terms will be ignored."
        let alone = self.required.is_empty() && self.excluded.is_empty();
        let optional = !alone || self.optional.is_empty() || self.optional.iter().any(has);
        required && !excluded && optional
    }
}

// ---- Reading

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Bytes that were looked at, and are ASCII.
    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn take(&mut self, sign: &str) -> bool {
        match self.rest.trim_start().strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take_word(&mut self, word: &str) -> bool {
        let mut ahead = Reader { rest: self.rest };
        let taken = ahead.take(word) && !ahead.rest.starts_with(|c: char| c.is_alphanumeric());
        if taken {
            self.rest = ahead.rest;
        }
        taken
    }

    fn expect(&mut self, sign: &str) -> Result<(), PatternError> {
        if self.take(sign) {
            return Ok(());
        }
        refused(format!("{sign:?} is missing before {:?}", self.rest))
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// Text in double quotes, if that is what follows; a backslash makes the next character itself.
    fn quoted(&mut self) -> Result<Option<String>, PatternError> {
        let Some(inner) = self.rest.strip_prefix('"') else {
            return Ok(None);
        };
        let mut text = String::new();
        let mut characters = inner.chars();
        while let Some(character) = characters.next() {
            match character {
                '"' => {
                    self.rest = characters.as_str();
                    return Ok(Some(text));
                }
                '\\' => text.extend(characters.next()),
                other => text.push(other),
            }
        }
        refused("a double quotation mark is not closed")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> FilterPattern {
        FilterPattern::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// The lines that a pattern matches, by their place in the list.
    fn matched(text: &str, lines: &[&str]) -> Vec<usize> {
        let pattern = pattern(text);
        (0..lines.len())
            .filter(|n| pattern.matches(lines[*n]))
            .collect()
    }

    fn assert_verdicts(json: &str, verdicts: &[(&str, Option<bool>)]) {
        for (text, verdict) in verdicts {
            assert_eq!(pattern(text).verdict(json), *verdict, "{text}");
        }
    }

    // ---- The guide's examples

    const REQUESTS: [&str; 5] = [
        "[ERROR 400] BAD REQUEST",
        "[ERROR 401] UNAUTHORIZED REQUEST",
        "[ERROR 419] MISSING ARGUMENTS",
        "[ERROR 420] INVALID ARGUMENTS",
        "[ERROR 500] INTERNAL SERVER ERROR",
    ];

    #[test]
    fn terms_are_all_required_and_found_within_words() {
        assert_eq!(matched("ERROR", &REQUESTS), [0, 1, 2, 3, 4]);
        assert_eq!(matched("ERROR ARGUMENTS", &REQUESTS), [2, 3]);
        assert_eq!(matched("AUTHORIZED", &REQUESTS), [1]);
        let older = [
            "[ERROR] A fatal exception has occurred",
            "Exiting with ERRORCODE: -1",
        ];
        assert_eq!(matched("ERROR", &older), [0, 1]);
        assert_eq!(matched("ERROR -Exiting", &older), [0]);
        assert_eq!(matched("error", &older), [0; 0], "case matters");
    }

    #[test]
    fn of_optional_terms_any_does_and_beside_others_they_are_ignored() {
        assert_eq!(matched("?ERROR ?ARGUMENTS", &REQUESTS), [0, 1, 2, 3, 4]);
        let three = ["ERROR WARN message", "ERROR message", "WARN message"];
        assert_eq!(matched("ERROR", &three), [0, 1]);
        assert_eq!(matched("?ERROR ?WARN", &three), [0, 1, 2]);
        assert_eq!(matched("ERROR WARN", &three), [0]);
        assert_eq!(matched("ERROR -WARN", &three), [1]);
        let requests = [
            "[INFO] REQUEST FAILED",
            "[WARN] UNAUTHORIZED REQUEST",
            "[ERROR] 400 BAD REQUEST",
            "[ERROR] NOTHING",
        ];
        let ignored = matched("?ERROR ?ARGUMENTS REQUEST", &requests);
        assert_eq!(ignored, [0, 1, 2]);
    }

    #[test]
    fn a_phrase_is_exact_a_term_can_be_excluded_and_blanks_match_everything() {
        assert_eq!(matched("\"INTERNAL SERVER ERROR\"", &REQUESTS), [4]);
        assert_eq!(matched("ERROR -ARGUMENTS", &REQUESTS), [0, 1, 4]);
        for everything in ["\" \"", ""] {
            assert_eq!(matched(everything, &["a b", "ab", ""]), [0, 1, 2]);
        }
        let older = [
            "[WARN] Failed to process the request",
            "[ERROR] Unable to continue: Failed to process the request",
        ];
        let phrase = "\"Failed to process the request\"";
        assert_eq!(matched(phrase, &older), [0, 1]);
    }

    const TRAIL: &str = r#"{
        "eventType": "UpdateTrail",
        "sourceIPAddress": "111.111.111.111",
        "arrayKey": ["value", "another value"],
        "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
        "SomeObject": null,
        "ThisFlag": true,
        "cluster.name": "c"
    }"#;

    #[test]
    fn json_selectors_match_as_the_guide_shows() {
        for text in [
            r#"{ $.eventType = "UpdateTrail" }"#,
            r"{ $.sourceIPAddress != 123.123.* }",
            r#"{ $.arrayKey[0] = "value" }"#,
            r"{ $.objectList[1].id = 2 }",
            r#"{ $.['cluster.name'] = "c" }"#,
            r"{ $.SomeObject IS NULL }",
            r"{ $.SomeOtherObject NOT EXISTS }",
            r"{ $.ThisFlag IS TRUE }",
            // Its wildcards, with text where the guide has regular expressions.
            r#"{ $.arrayKey[*] = "val*" }"#,
            r#"{ $.* = "111.111.111.1*" }"#,
        ] {
            assert!(pattern(text).matches(TRAIL), "{text}");
        }
        for text in [
            r#"{ $.eventType = "Trail" }"#,
            r"{ $.sourceIPAddress != 111.111.* }",
            r#"{ $.arrayKey[1] = "value" }"#,
            r"{ $.objectList[0].id = 2 }",
            r"{ $.objectList[7].id = 2 }",
            r"{ $.eventType IS NULL }",
            r"{ $.SomeOtherObject IS NULL }",
            r"{ $.SomeObject NOT EXISTS }",
            r"{ $.ThisFlag IS FALSE }",
            r#"{ $.cluster.name = "c" }"#,
        ] {
            assert_eq!(pattern(text).verdict(TRAIL), Some(false), "{text}");
        }
    }

    #[test]
    fn compound_expressions_bind_as_the_guide_says() {
        let json = r#"{
            "user": {"id": 1, "email": "John.Stiles@example.com"},
            "users": [
                {"id": 2, "email": "John.Doe@example.com"},
                {"id": 3, "email": "Jane.Doe@example.com"}
            ],
            "actions": ["GET", "PUT", "DELETE"],
            "coordinates": [[0, 1, 2], [4, 5, 6], [7, 8, 9]]
        }"#;
        assert_verdicts(
            json,
            &[
                (
                    r#"{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }"#,
                    Some(true),
                ),
                (
                    r#"{ $.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = "nonmatch" && $.actions[2] = "nonmatch" }"#,
                    Some(true),
                ),
                (
                    r#"{ ($.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = "nonmatch") && $.actions[2] = "nonmatch" }"#,
                    Some(false),
                ),
                (
                    r#"{ ($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET" }"#,
                    Some(false),
                ),
                // The older edition's, without quotes.
                (
                    r#"{ $.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = nonmatch && $.actions[2] = nomatch }"#,
                    Some(true),
                ),
            ],
        );
        let foo = [r#"{"foo": "bar"}"#, r#"{"foo": "baz"}"#];
        assert_eq!(matched("{$.foo = bar}", &foo), [0]);
        assert_eq!(matched("{$.foo = baz }", &foo), [1]);
        assert_eq!(matched("{$.foo = bar || $.foo = baz }", &foo), [0, 1]);
    }

    #[test]
    fn what_points_to_an_array_or_an_object_never_matches() {
        let verdicts = [
            ("{$.users = 1}", Some(false)),
            ("{$.users != 1}", Some(false)),
        ];
        assert_verdicts(r#"{"users": [1, 2, 3]}"#, &verdicts);
        assert_verdicts(r#"{"users": {"a": 1}}"#, &verdicts);
    }

    #[test]
    fn numbers_are_compared_as_the_guide_shows() {
        for (text, good, bad) in [
            ("{ $.bandwidth > 75 }", "75.5", "75"),
            ("{ $.bandwidth < 50 }", "49", "50"),
            ("{ $.bandwidth >= 60 }", "60", "59.9"),
            ("{ $.bandwidth <= 5 }", "5", "6"),
            ("{ $.bandwidth = 400}", "400", "401"),
            ("{ $.bandwidth != 500 }", "400", "500"),
            ("{ $.bandwidth > +1000 }", "1001", "-1001"),
            ("{ $.bandwidth <= 55.5 }", "55.5", "55.6"),
            ("{ $.bandwidth = 4* }", "404", "504"),
            ("{ $.bandwidth = * }", "0", "[]"),
        ] {
            let json = |number| format!("{{\"bandwidth\": {number}}}");
            assert!(pattern(text).matches(&json(good)), "{text}");
            assert_eq!(pattern(text).verdict(&json(bad)), Some(false), "{text}");
        }
        let list =
            r#"{"number": [1000], "numbers": [3], "processes": [0, {"averageRuntime": 55.5}]}"#;
        assert_verdicts(
            list,
            &[
                ("{ $.number[0] = 1e+3 }", Some(true)),
                ("{ $.number[0] != 1e-3 }", Some(true)),
                ("{ $.numbers[0] < 10e3 }", Some(true)),
                ("{ $.numbers[0] < 10e-3 }", Some(false)),
                ("{ $.processes[1].averageRuntime <= 55.5 }", Some(true)),
            ],
        );
    }

    #[test]
    fn an_asterisk_stands_for_anything_at_the_ends_only() {
        let events = [
            "PutEvent",
            "GetEvent",
            "EventId",
            "EventName",
            "Ev*ent",
            "Evxent",
        ]
        .map(|name| format!("{{\"e\": \"{name}\"}}"));
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        assert_eq!(matched("{ $.e = \"*Event\" }", &events), [0, 1]);
        assert_eq!(matched("{ $.e = \"Event*\" }", &events), [2, 3]);
        assert_eq!(matched("{ $.e = \"Ev*ent\" }", &events), [4]);
    }

    const APACHE: &str =
        r#"127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534"#;

    #[test]
    fn fields_between_spaces_match_as_the_guide_shows() {
        for text in [
            "[ip, user, username, timestamp, request, status_code, bytes]",
            "[ip, user, username, timestamp, request =*.html*, status_code = 4*, bytes]",
            "[..., request =*.html*, status_code = 4*, bytes]",
            "[ip, user, username, timestamp, request =*.html*, status_code = 404 || status_code = 410, bytes]",
            "[..., status_code, bytes]",
            "[ip, user, ..., status_code, bytes]",
            "[ip, user, ...]",
            "[ip, user, username, timestamp, request, status_code, bytes > 1000]",
            "[ip, user, username, timestamp, request, status_code = 4* && status_code != 403, bytes]",
            "[..., request=*.html*, status_code=4*,]",
        ] {
            assert!(pattern(text).matches(APACHE), "{text}");
        }
        for text in [
            "[ip, user, username, timestamp, request, status_code = 200, bytes]",
            "[ip, user, username, timestamp, request, status_code, bytes > 2000]",
            "[ip, user, username, timestamp, request, status_code = 4* && status_code != 404, bytes]",
            "[..., request =*.png*, status_code = 4*, bytes]",
            "[a, b, c, d, e, f, g, h]",
            "[a, b = Prod]",
        ] {
            assert!(!pattern(text).matches(APACHE), "{text}");
        }
    }

    #[test]
    fn terms_in_order_match_as_the_guide_shows() {
        let lines = [
            "INFO 09/25/2014 12:00:00 GET /service/resource/67 1200",
            "INFO 09/25/2014 12:00:01 POST /service/resource/67/part/111 1310",
            "WARNING 09/25/2014 12:00:02 Invalid user request",
            "ERROR 09/25/2014 12:00:02 Failed to process request",
        ];
        assert_eq!(matched("[w1=ERROR, w2]", &lines), [3]);
        assert_eq!(matched("[w1=ERROR || w1=WARNING, w2]", &lines), [2, 3]);
        assert_eq!(matched("[w1!=ERROR && w1!=WARNING, w2]", &lines), [0, 1]);
    }

    #[test]
    fn a_metric_value_is_a_constant_or_a_field_that_holds_a_number() {
        let latency = pattern("{ $.latency = * }");
        let published = |line| latency.published("$.latency", line).expect("a field");
        assert_eq!(published(r#"{"latency": 50}"#), Some(50.0));
        assert_eq!(published(r#"{"latency": "50 ms"}"#), None);
        assert_eq!(published(r#"{"latency": "50"}"#), None);
        assert_eq!(published(r#"{"other": 50}"#), None);
        let one = |line| latency.published("1", line).expect("a number");
        assert_eq!(one(r#"{"latency": "50 ms"}"#), Some(1.0));
        assert_eq!(one(r#"{"other": 50}"#), None);
        let fields = pattern("[ip, ..., status_code = 4*, bytes]");
        assert_eq!(fields.published("$bytes", APACHE), Ok(Some(1534.0)));
        assert_eq!(fields.published("$ip", APACHE), Ok(None));
        assert!(latency.published("latency", APACHE).is_err());
    }

    // ---- What the guide leaves open, and what it refuses

    #[test]
    fn where_the_guide_is_silent_there_is_no_verdict_unless_the_rest_decides() {
        let json = r#"{"a": "x", "flag": true, "digits": "404", "number": 404}"#;
        assert_verdicts(
            json,
            &[
                (r#"{ $.b != "x" }"#, None),
                (r#"{ $.flag != "x" }"#, None),
                ("{ $.digits = 404 }", None),
                (r#"{ $.number = "404" }"#, None),
                (r#"{ $.b != "x" && $.a = "y" }"#, Some(false)),
                (r#"{ $.b != "x" || $.a = "x" }"#, Some(true)),
                (r#"{ $.b != "x" && $.a = "x" }"#, None),
                (r#"{ $.b = "x" }"#, Some(false)),
                ("{ $.b > 0 }", Some(false)),
                ("{ $.a > 0 }", Some(false)),
            ],
        );
    }

    #[test]
    fn a_line_that_is_no_json_object_is_never_matched_by_a_json_pattern() {
        for line in ["", "x", "[1]", "1", "{\"a\":1", "{\"a\":1} x"] {
            let verdict = pattern("{ $.a NOT EXISTS }").verdict(line);
            assert_eq!(verdict, Some(false), "{line}");
        }
    }

    #[test]
    fn what_cloudwatch_would_not_take_is_refused_with_the_reason() {
        let long = "a".repeat(MAX_CHARS + 1);
        for (text, words) in [
            ("{ $.a = %x% }", "regular expressions"),
            ("%x%", "regular expressions"),
            ("[a = %x%]", "regular expressions"),
            ("{ $.a EXISTS }", "no EXISTS"),
            ("{ $.a IS NOT NULL }", "no IS NOT"),
            ("{ $.a = \"x }", "not closed"),
            ("{ $.a = x", "\"}\" is missing"),
            ("{ ($.a = x }", "\")\" is missing"),
            ("{ $.a = x } y", "nothing may follow"),
            ("{ $.a > x }", "is not a number"),
            ("{ a = x }", "begins with $."),
            ("{ $.a }", "a comparison is missing"),
            ("{ $.a[*].b[*] = x }", "at most one wildcard"),
            (
                "{ $.a[*] = x || $.b[*] = x || $.c[*] = x || $.d[*] = x }",
                "at most three",
            ),
            ("[..., a, ...]", "at most one ellipsis"),
            ("[a, b = 4 && a = 3]", "names \"a\""),
            ("a.b", "double quotes"),
            (&long, "1024 characters"),
        ] {
            let error = FilterPattern::parse(text).expect_err(text);
            assert!(error.to_string().contains(words), "{text}: {error}");
        }
    }

    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("{ "),
            Just(" }"),
            Just("["),
            Just("]"),
            Just("("),
            Just(")"),
            Just("$.a"),
            Just("$.*"),
            Just("[0]"),
            Just("[*]"),
            Just(".['"),
            Just("']"),
            Just(" = "),
            Just(" != "),
            Just(" >= "),
            Just("&&"),
            Just("||"),
            Just("\""),
            Just("\\"),
            Just("*"),
            Just("x"),
            Just("4"),
            Just("-"),
            Just("?"),
            Just(", "),
            Just("..."),
            Just("…"),
            Just(" IS "),
            Just("NULL"),
            Just("NOT EXISTS"),
            Just(" "),
            Just("é"),
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_pattern_and_no_line_makes_it_panic(
            text in prop_oneof![any::<String>(), pieces(), pieces().prop_map(|p| format!("{{ $.a = {p}"))],
            line in prop_oneof![any::<String>(), pieces(), Just(r#"{"a": [1, "x"]}"#.to_owned())],
        ) {
            if let Ok(pattern) = FilterPattern::parse(&text) {
                let verdict = pattern.verdict(&line);
                prop_assert_eq!(pattern.matches(&line), verdict == Some(true));
                let _ = pattern.published("$.a", &line);
                let _ = pattern.published("$x", &line);
            }
        }

        #[test]
        fn terms_match_like_a_search_for_words(words in prop::collection::vec("[a-c]{1,2}", 1..4), line in "[a-c ]{0,12}") {
            let expected = words.iter().all(|word| line.contains(word));
            prop_assert_eq!(pattern(&words.join(" ")).matches(&line), expected);
        }
    }

    #[test]
    fn parentheses_as_deep_as_a_pattern_is_long_do_no_harm() {
        let deep = |n| format!("{{{}$.a = 1{}}}", "(".repeat(n), ")".repeat(n));
        assert!(pattern(&deep(500)).matches(r#"{"a": 1}"#));
        assert!(FilterPattern::parse(&format!("{{{}", "(".repeat(1000))).is_err());
        assert!(FilterPattern::parse(&deep(5000)).is_err());
    }
}
