//! A profile worked out for a plan: what each key should be, beside what it is.

use thiserror::Error;

use super::{Asked, Bound, Column, Expression, Key, Profile};
use crate::formula::{FormulaError, Variables, substituted};
use crate::value::{Value, Word};

/// A key with numbers in the place of formulas.
#[derive(Clone, Debug)]
pub struct Ask<'p> {
    /// The key.
    pub key: &'p Key,
    /// What it should be.
    pub value: Value,
    /// The arithmetic of each column that is a number.
    pub arithmetic: Vec<String>,
    /// Below (above) this the plan fails: column and value.
    pub need: Option<(usize, u64)>,
}

/// Why a profile cannot be worked out for this plan.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AskError {
    /// A formula has no value.
    #[error("{place}: {text:?}: {error}")]
    Formula {
        /// File and line.
        place: String,
        /// The formula.
        text: String,
        /// Why.
        error: FormulaError,
    },
    /// The value that is asked for would not do.
    #[error("{place}: {key} asks for {asked} but needs {need}: a contradiction")]
    Contradiction {
        /// File and line.
        place: String,
        /// Whose.
        key: String,
        /// What the value's formula says.
        asked: u64,
        /// What the need's formula says.
        need: u64,
    },
}

impl Expression {
    /// Its value.
    ///
    /// # Errors
    /// It is not finite.
    pub fn value(&self, variables: &Variables) -> Result<f64, AskError> {
        let told = |error| {
            let (place, text) = (self.place.clone(), self.text.clone());
            AskError::Formula { place, text, error }
        };
        self.formula.value(variables).map_err(told)
    }

    /// Its value as a number of things: the next whole number, at least 0.
    ///
    /// # Errors
    /// It is not finite.
    pub fn count(&self, variables: &Variables) -> Result<u64, AskError> {
        let value = self.value(variables)?.ceil().max(0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, not negative; `as` saturates"
        )]
        let count = value as u64;
        Ok(count)
    }

    /// Itself with numbers: `2 * 1,000 = 2,000`.
    ///
    /// # Errors
    /// It is not finite.
    pub fn shown(&self, variables: &Variables) -> Result<String, AskError> {
        let result = crate::value::grouped(self.count(variables)?);
        let with_numbers = substituted(&self.text, variables);
        let is_constant = self.formula.names().is_empty();
        if is_constant && with_numbers.parse::<u64>().is_ok() {
            return Ok(result);
        }
        if with_numbers == result {
            return Ok(format!("{} = {result}", self.text));
        }
        Ok(format!("{} = {with_numbers} = {result}", self.text))
    }
}

impl Profile {
    /// Works out every key that the plan asks for.
    ///
    /// # Errors
    /// A formula has no finite value, or a key contradicts itself.
    pub fn ask<'p>(&'p self, variables: &Variables) -> Result<Vec<Ask<'p>>, AskError> {
        let mut asks = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            let wanted = match &key.when {
                Some(when) => when.value(variables)? > 0.0,
                None => true,
            };
            if wanted {
                asks.push(key.ask(variables)?);
            }
        }
        Ok(asks)
    }
}

impl Key {
    fn ask(&self, variables: &Variables) -> Result<Ask<'_>, AskError> {
        let mut words = Vec::with_capacity(self.columns.len());
        let mut arithmetic = Vec::new();
        for column in &self.columns {
            match &column.asked {
                Asked::Number(expression) => {
                    words.push(Word::Number(expression.count(variables)?));
                    arithmetic.push(expression.shown(variables)?);
                }
                Asked::Words(choices) => words.push(Word::parse(&choices[0])),
            }
        }
        let need = match &self.need {
            Some((column, need)) => Some((*column, need.count(variables)?)),
            None => None,
        };
        let ask = Ask { key: self, value: Value(words), arithmetic, need };
        ask.agrees()?;
        Ok(ask)
    }
}

impl Column {
    /// Whether a live word is right where `asked` is asked for.
    #[must_use]
    pub fn allows(&self, live: &Word, asked: &Word) -> bool {
        if let Asked::Words(choices) = &self.asked {
            return choices.iter().any(|choice| Word::parse(choice) == *live);
        }
        live.order(asked).is_some_and(|order| match self.bound {
            Bound::AtLeast => order.is_ge(),
            Bound::AtMost => order.is_le(),
            Bound::Equal => order.is_eq(),
        })
    }
}

impl Ask<'_> {
    /// Whether each column of a live value is right.
    #[must_use]
    pub fn is_met(&self, live: &Value) -> bool {
        live.0.len() >= self.value.0.len()
            && self.columns(live).all(|(column, live, asked)| column.allows(live, asked))
    }

    /// Whether the plan fails with a live value.
    #[must_use]
    pub fn fails(&self, live: &Value) -> bool {
        let Some((index, need)) = self.need else { return false };
        let bound = self.key.columns[index].bound;
        match live.0.get(index).and_then(Word::as_number) {
            Some(live) => match bound {
                Bound::AtLeast => live < need,
                Bound::AtMost => live > need,
                Bound::Equal => live != need,
            },
            None => true,
        }
    }

    /// What to write over a live value: columns that are right stay as they are, so that a larger
    /// default is never lowered by a key that asks for a least value.
    #[must_use]
    pub fn proposal(&self, live: &Value) -> Value {
        let merged = self.columns(live).map(|(column, live, asked)| {
            if column.allows(live, asked) { live.clone() } else { asked.clone() }
        });
        let merged: Vec<_> = merged.collect();
        if merged.len() < self.value.0.len() { self.value.clone() } else { Value(merged) }
    }

    fn columns<'a>(
        &'a self,
        live: &'a Value,
    ) -> impl Iterator<Item = (&'a Column, &'a Word, &'a Word)> {
        let pairs = live.0.iter().zip(&self.value.0);
        self.key.columns.iter().zip(pairs).map(|(column, (live, asked))| (column, live, asked))
    }

    fn agrees(&self) -> Result<(), AskError> {
        match self.need {
            Some((column, need)) if self.fails(&self.value) => Err(AskError::Contradiction {
                place: self.key.place.clone(),
                key: self.key.name.clone(),
                asked: self.value.0[column].as_number().unwrap_or(0),
                need,
            }),
            _ => Ok(()),
        }
    }
}
