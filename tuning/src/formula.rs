//! Arithmetic over a plan's variables: `ceil(connections / shards) + 64`.
//!
//! Grammar: numbers, names, `+ - * /` with the usual precedence, parentheses, and the functions
//! `ceil(x)`, `floor(x)`, `power_of_two(x)` (the next one), `min(x, y)`, `max(x, y)`. Parsed once
//! when a profile is read, so that a mistake in a profile is an error before anything is compared.
//! Nesting and length are bounded.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::limits::{FORMULA_DEPTH_MAX, FORMULA_NODES_MAX};
use crate::value::grouped;

/// Names and their values.
pub type Variables = BTreeMap<String, f64>;

/// A parsed formula.
#[derive(Clone, Debug, PartialEq)]
pub enum Formula {
    /// A constant.
    Number(f64),
    /// A variable of the plan.
    Variable(String),
    /// A function or operator with its operands.
    Apply(Operation, Vec<Formula>),
}

/// What is done with the operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// x + y
    Add,
    /// x − y
    Subtract,
    /// x × y
    Multiply,
    /// x / y
    Divide,
    /// The next whole number.
    Ceil,
    /// The whole number below.
    Floor,
    /// The next power of two.
    PowerOfTwo,
    /// The smaller.
    Min,
    /// The larger.
    Max,
}

/// Why a formula cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FormulaError {
    /// Not of the grammar; position in bytes.
    #[error("at byte {0}: expected {1}")]
    Expected(usize, &'static str),
    /// A name that the plan does not have.
    #[error("unknown variable {0}")]
    UnknownVariable(String),
    /// A name followed by `(` that is no function.
    #[error("unknown function {0}")]
    UnknownFunction(String),
    /// Too deep.
    #[error("nested deeper than {FORMULA_DEPTH_MAX}")]
    TooDeep,
    /// Too many operators and operands.
    #[error("longer than {FORMULA_NODES_MAX} operators and operands")]
    TooLong,
    /// Division by zero, or larger than can be compared.
    #[error("the value is not a finite number")]
    NotFinite,
}

impl Formula {
    /// Parses `text`.
    ///
    /// # Errors
    /// It is not of the grammar, or nested too deeply.
    pub fn parse(text: &str) -> Result<Self, FormulaError> {
        let mut parser = Parser { text, at: 0, depth: 0, nodes: 0 };
        let formula = parser.sum()?;
        match parser.peek() {
            None => Ok(formula),
            Some(_) => Err(FormulaError::Expected(parser.at, "an operator or the end")),
        }
    }

    /// Its value for the variables of a plan.
    ///
    /// # Errors
    /// A variable is unknown, or the value is not finite.
    pub fn value(&self, variables: &Variables) -> Result<f64, FormulaError> {
        let value = match self {
            Self::Number(number) => *number,
            Self::Variable(name) => *variables
                .get(name.as_str())
                .ok_or_else(|| FormulaError::UnknownVariable(name.clone()))?,
            Self::Apply(operation, operands) => {
                let values = operands.iter().map(|operand| operand.value(variables));
                operation.apply(&values.collect::<Result<Vec<_>, _>>()?)
            }
        };
        if value.is_finite() { Ok(value) } else { Err(FormulaError::NotFinite) }
    }

    /// The names that it uses.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Number(_) => Vec::new(),
            Self::Variable(name) => vec![name],
            Self::Apply(_, operands) => operands.iter().flat_map(Self::names).collect(),
        }
    }
}

/// `text` with the values of its names in their places: the arithmetic behind a figure.
#[must_use]
pub fn substituted(text: &str, variables: &Variables) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        let tail = &rest[start..];
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, after) = tail.split_at(tail.find(|c| !is_name(c)).unwrap_or(tail.len()));
        out.push_str(&rest[..start]);
        match variables.get(name) {
            Some(value) => out.push_str(&number_text(*value)),
            None => out.push_str(name),
        }
        rest = after;
    }
    out + rest
}

fn number_text(value: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be whole"
    )]
    if value >= 0.0 && value.fract() == 0.0 {
        return grouped(value as u64);
    }
    format!("{value}")
}

impl Operation {
    fn function(name: &str) -> Option<(Self, usize)> {
        match name {
            "ceil" => Some((Self::Ceil, 1)),
            "floor" => Some((Self::Floor, 1)),
            "power_of_two" => Some((Self::PowerOfTwo, 1)),
            "min" => Some((Self::Min, 2)),
            "max" => Some((Self::Max, 2)),
            _ => None,
        }
    }

    fn apply(self, values: &[f64]) -> f64 {
        match (self, values) {
            (Self::Add, [x, y]) => x + y,
            (Self::Subtract, [x, y]) => x - y,
            (Self::Multiply, [x, y]) => x * y,
            (Self::Divide, [x, y]) => x / y,
            (Self::Ceil, [x]) => x.ceil(),
            (Self::Floor, [x]) => x.floor(),
            (Self::PowerOfTwo, [x]) => x.max(1.0).log2().ceil().exp2(),
            (Self::Min, [x, y]) => x.min(*y),
            (Self::Max, [x, y]) => x.max(*y),
            // The parser gives every operation its number of operands.
            _ => f64::NAN,
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    nodes: usize,
}

impl<'a> Parser<'a> {
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), FormulaError> {
        if self.take(byte) { Ok(()) } else { Err(FormulaError::Expected(self.at, what)) }
    }

    fn sum(&mut self) -> Result<Formula, FormulaError> {
        self.depth += 1;
        if self.depth > FORMULA_DEPTH_MAX {
            return Err(FormulaError::TooDeep);
        }
        let mut left = self.product()?;
        loop {
            let operation = match self.peek() {
                Some(b'+') => Operation::Add,
                Some(b'-') => Operation::Subtract,
                _ => break,
            };
            self.at += 1;
            left = Formula::Apply(operation, vec![left, self.product()?]);
        }
        self.depth -= 1;
        Ok(left)
    }

    fn product(&mut self) -> Result<Formula, FormulaError> {
        let mut left = self.atom()?;
        loop {
            let operation = match self.peek() {
                Some(b'*') => Operation::Multiply,
                Some(b'/') => Operation::Divide,
                _ => return Ok(left),
            };
            self.at += 1;
            left = Formula::Apply(operation, vec![left, self.atom()?]);
        }
    }

    fn atom(&mut self) -> Result<Formula, FormulaError> {
        self.nodes += 1;
        if self.nodes > FORMULA_NODES_MAX {
            return Err(FormulaError::TooLong);
        }
        match self.peek() {
            Some(b'(') => {
                self.at += 1;
                let inner = self.sum()?;
                self.expect(b')', "`)`")?;
                Ok(inner)
            }
            Some(b'0'..=b'9') => self.number(),
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'_') => self.name(),
            _ => Err(FormulaError::Expected(self.at, "a number, a name or `(`")),
        }
    }

    fn span(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn number(&mut self) -> Result<Formula, FormulaError> {
        let start = self.at;
        let digits = self.span(|c| c.is_ascii_digit() || c == '.');
        digits.parse().map(Formula::Number).map_err(|_| FormulaError::Expected(start, "a number"))
    }

    fn name(&mut self) -> Result<Formula, FormulaError> {
        let name = self.span(|c| c.is_ascii_alphanumeric() || c == '_');
        if self.peek() != Some(b'(') {
            return Ok(Formula::Variable(name.to_owned()));
        }
        let (operation, operands) = Operation::function(name)
            .ok_or_else(|| FormulaError::UnknownFunction(name.to_owned()))?;
        self.expect(b'(', "`(`")?;
        let mut arguments = vec![self.sum()?];
        while arguments.len() < operands {
            self.expect(b',', "`,` and another argument")?;
            arguments.push(self.sum()?);
        }
        self.expect(b')', "`)`")?;
        Ok(Formula::Apply(operation, arguments))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(text: &str) -> Result<f64, FormulaError> {
        Formula::parse(text)?.value(&variables())
    }

    fn variables() -> Variables {
        [("connections", 100_000.0), ("shards", 3.0), ("busy", 0.25)]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }

    #[test]
    fn the_arithmetic_is_shown_with_its_numbers() {
        let shown = substituted("ceil(connections * busy / shards) + 64", &variables());
        assert_eq!(shown, "ceil(100,000 * 0.25 / 3) + 64");
    }

    #[test]
    fn length_is_bounded_on_both_sides() {
        let sum = |terms: usize| vec!["1"; terms].join(" + ");
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let all = FORMULA_NODES_MAX as f64;
        assert_eq!(value(&sum(FORMULA_NODES_MAX)), Ok(all));
        assert_eq!(value(&sum(FORMULA_NODES_MAX + 1)), Err(FormulaError::TooLong));
    }

    #[test]
    fn precedence_and_parentheses() {
        assert_eq!(value("2 + 3 * 4 - 6 / 2"), Ok(11.0));
        assert_eq!(value("(2 + 3) * 4"), Ok(20.0));
        assert_eq!(value("10 - 3 - 2"), Ok(5.0));
    }

    #[test]
    fn variables_and_functions() {
        assert_eq!(value("ceil(connections / shards) + 64"), Ok(33_398.0));
        assert_eq!(value("min(4096, connections)"), Ok(4096.0));
        assert_eq!(value("max(1, shards)"), Ok(3.0));
        assert_eq!(value("floor(shards / 2)"), Ok(1.0));
        assert_eq!(value("power_of_two(0) + power_of_two(1024)"), Ok(1025.0));
        assert_eq!(value("power_of_two(1025)"), Ok(2048.0));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(value("users"), Err(FormulaError::UnknownVariable("users".into())));
        assert_eq!(value("round(2)"), Err(FormulaError::UnknownFunction("round".into())));
        assert_eq!(value("1 / 0"), Err(FormulaError::NotFinite));
        assert_eq!(value("1 +"), Err(FormulaError::Expected(3, "a number, a name or `(`")));
        assert_eq!(value("1 1"), Err(FormulaError::Expected(2, "an operator or the end")));
        assert_eq!(value("min(1)"), Err(FormulaError::Expected(5, "`,` and another argument")));
    }

    #[test]
    fn nesting_is_bounded_on_both_sides() {
        let nested = |depth: usize| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
        assert_eq!(value(&nested(FORMULA_DEPTH_MAX - 1)), Ok(1.0));
        assert_eq!(value(&nested(FORMULA_DEPTH_MAX)), Err(FormulaError::TooDeep));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,64}") {
            let _ = Formula::parse(&text);
        }
    }
}
