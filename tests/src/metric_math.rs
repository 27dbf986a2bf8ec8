//! CloudWatch's metric math, as far as alarms and dashboard make use of it.
//!
//! After the Amazon CloudWatch User Guide, "Using math expressions with CloudWatch metrics": `+ - * /`, comparisons and
//! `AND`, `OR` (1 and 0), `IF(condition, then, otherwise)`, `FILL(series, number)`, numbers, the ids of series
//! and parentheses. Everything else is refused with a sentence that says so.
//!
//! A point that one of the series lacks is lacking in the result, and so is what is divided by zero. `FILL` gives a
//! point to a period in which there is none, also where the series never had any.

use std::collections::BTreeMap;
use std::fmt;

/// Bounds recursion.
const MAX_CHARS: usize = 1024;

/// An expression, ready to be evaluated point by point.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression(Node);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Number(f64),
    Id(String),
    Fill(String, f64),
    If(Box<[Node; 3]>),
    Binary(Operator, Box<[Node; 2]>),
    Minus(Box<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    LessOrEqual,
    GreaterOrEqual,
    Less,
    Greater,
    Plus,
    Minus,
    Times,
    Over,
}

use Operator::{
    And, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Minus, Or, Over, Plus, Times, Unequal,
};

/// What binds least comes first; of operators that begin alike the longer one.
const LEVELS: [&[(&str, Operator)]; 5] = [
    &[("OR", Or), ("||", Or)],
    &[("AND", And), ("&&", And)],
    &[
        ("==", Equal),
        ("!=", Unequal),
        ("<=", LessOrEqual),
        (">=", GreaterOrEqual),
        ("<", Less),
        (">", Greater),
    ],
    &[("+", Plus), ("-", Minus)],
    &[("*", Times), ("/", Over)],
];

/// Why an expression is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionError(String);

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ExpressionError {}

impl Expression {
    /// Reads an expression. Fails with what is not understood here.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        if text.chars().count() > MAX_CHARS {
            let words = format!("an expression has at most {MAX_CHARS} characters");
            return Err(ExpressionError(words));
        }
        let mut reader = Reader { rest: text };
        let node = reader.level(0)?;
        if reader.skip().is_empty() {
            return Ok(Self(node));
        }
        reader.refused("the end of the expression")
    }

    /// One point of the result, from one point of each series by its id; none where it is lacking.
    pub fn evaluate(&self, points: &BTreeMap<&str, Option<f64>>) -> Option<f64> {
        self.0.evaluate(points)
    }

    /// The ids that are made use of.
    pub fn ids(&self) -> Vec<&str> {
        let mut ids = Vec::new();
        self.0.ids(&mut ids);
        ids
    }
}

impl Node {
    fn evaluate(&self, points: &BTreeMap<&str, Option<f64>>) -> Option<f64> {
        let point = |id: &str| points.get(id).copied().flatten();
        match self {
            Self::Number(number) => Some(*number),
            Self::Id(id) => point(id),
            Self::Fill(id, number) => Some(point(id).unwrap_or(*number)),
            Self::Minus(inner) => Some(-inner.evaluate(points)?),
            Self::If(parts) => {
                let [condition, then, otherwise] = &**parts;
                if is_true(condition.evaluate(points)?) {
                    then.evaluate(points)
                } else {
                    otherwise.evaluate(points)
                }
            }
            Self::Binary(operator, sides) => {
                let [left, right] = &**sides;
                operator.apply(left.evaluate(points)?, right.evaluate(points)?)
            }
        }
    }

    fn ids<'a>(&'a self, found: &mut Vec<&'a str>) {
        match self {
            Self::Number(_) => {}
            Self::Id(id) | Self::Fill(id, _) => found.push(id),
            Self::Minus(inner) => inner.ids(found),
            Self::If(parts) => parts.iter().for_each(|part| part.ids(found)),
            Self::Binary(_, sides) => sides.iter().for_each(|side| side.ids(found)),
        }
    }
}

fn is_true(value: f64) -> bool {
    value.abs() > 0.0
}

impl Operator {
    fn apply(self, left: f64, right: f64) -> Option<f64> {
        let truth = |is: bool| f64::from(u8::from(is));
        let order = left.partial_cmp(&right)?;
        Some(match self {
            Or => truth(is_true(left) || is_true(right)),
            And => truth(is_true(left) && is_true(right)),
            Equal => truth(order.is_eq()),
            Unequal => truth(order.is_ne()),
            LessOrEqual => truth(order.is_le()),
            GreaterOrEqual => truth(order.is_ge()),
            Less => truth(order.is_lt()),
            Greater => truth(order.is_gt()),
            Plus => left + right,
            Minus => left - right,
            Times => left * right,
            Over if is_true(right) => left / right,
            Over => return None,
        })
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn skip(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        self.rest
    }

    fn take(&mut self, word: &str) -> bool {
        let rest = self.skip();
        let Some(after) = rest.strip_prefix(word) else {
            return false;
        };
        let is_word = word.ends_with(char::is_alphabetic);
        if is_word && after.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            return false;
        }
        self.rest = after;
        true
    }

    fn expect(&mut self, word: &str) -> Result<(), ExpressionError> {
        if self.take(word) {
            Ok(())
        } else {
            self.refused(&format!("'{word}'"))
        }
    }

    fn refused<T>(&mut self, wanted: &str) -> Result<T, ExpressionError> {
        let rest = self.skip();
        let words = format!("{wanted} is expected before {rest:?}");
        Err(ExpressionError(words))
    }

    fn level(&mut self, level: usize) -> Result<Node, ExpressionError> {
        let Some(operators) = LEVELS.get(level) else {
            return self.single();
        };
        let mut left = self.level(level + 1)?;
        while let Some((_, operator)) = operators.iter().find(|(word, _)| self.take(word)) {
            let right = self.level(level + 1)?;
            left = Node::Binary(*operator, Box::new([left, right]));
        }
        Ok(left)
    }

    fn single(&mut self) -> Result<Node, ExpressionError> {
        if self.take("(") {
            let inner = self.level(0)?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.take("-") {
            return Ok(Node::Minus(Box::new(self.single()?)));
        }
        if self.take("IF") {
            self.expect("(")?;
            let condition = self.level(0)?;
            self.expect(",")?;
            let then = self.level(0)?;
            self.expect(",")?;
            let otherwise = self.level(0)?;
            self.expect(")")?;
            return Ok(Node::If(Box::new([condition, then, otherwise])));
        }
        if self.take("FILL") {
            self.expect("(")?;
            let Some(id) = self.id() else {
                return self.refused("the id of a series");
            };
            self.expect(",")?;
            let Some(number) = self.number() else {
                return self.refused("a number");
            };
            self.expect(")")?;
            return Ok(Node::Fill(id, number));
        }
        if let Some(number) = self.number() {
            return Ok(Node::Number(number));
        }
        match self.id() {
            Some(id) => Ok(Node::Id(id)),
            None => self.refused("a number, the id of a series, IF, FILL or '('"),
        }
    }

    fn number(&mut self) -> Option<f64> {
        let rest = self.skip();
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        let number = word.parse().ok()?;
        self.rest = after;
        Some(number)
    }

    /// Ids begin with a small letter.
    fn id(&mut self) -> Option<String> {
        let rest = self.skip();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        if !word.starts_with(|c: char| c.is_ascii_lowercase()) {
            return None;
        }
        self.rest = after;
        Some(word.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Expression;

    fn value(text: &str, points: &[(&'static str, Option<f64>)]) -> Option<f64> {
        let expression = Expression::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        expression.evaluate(&points.iter().copied().collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn arithmetic_binds_as_usual() {
        for (text, expected) in [
            ("1 + 2 * 3", 7.0),
            ("(1 + 2) * 3", 9.0),
            ("10 - 2 - 3", 5.0),
            ("8 / 2 / 2", 2.0),
            ("-2 + 3", 1.0),
            ("1 < 2", 1.0),
            ("2 <= 1", 0.0),
            ("1 + 1 == 2 AND 3 > 2", 1.0),
            ("0 OR 0", 0.0),
            ("0 AND 1 OR 1", 1.0),
            ("IF(1 > 2, 5, 6)", 6.0),
            ("IF(3, 5, 6)", 5.0),
        ] {
            assert_eq!(value(text, &[]), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_a_series_lacks_the_result_lacks_unless_it_is_filled() {
        let points = [("a", Some(2.0)), ("b", None)];
        for (text, expected) in [
            ("a + a", Some(4.0)),
            ("a + b", None),
            ("a + never", None),
            ("a + FILL(b, 0)", Some(2.0)),
            ("FILL(a, 7)", Some(2.0)),
            ("FILL(never, 7)", Some(7.0)),
            ("IF(b > 1, 1, 0)", None),
            ("IF(a > 1, b, 0)", None),
            ("b > 1 OR a > 1", None),
            ("a / FILL(b, 0)", None),
        ] {
            assert_eq!(value(text, &points), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "",
            "a +",
            "(a",
            "a b",
            "FILL(a)",
            "FILL(a, REPEAT)",
            "IF(a, 1)",
            "SUM(a)",
            "METRICS()",
            "ORa",
            &"(".repeat(2000),
        ] {
            assert!(Expression::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_ids_in_use_are_told() {
        let expression = Expression::parse("IF(FILL(a, 0) > 1, -b, c / 2)").expect("good");
        assert_eq!(expression.ids(), ["a", "b", "c"]);
    }
}
