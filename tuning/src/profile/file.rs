//! The format of a profile's file, and what makes one wrong.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::Spanned;

use super::error::Text;
use super::{
    Asked, Bound, Column, Cost, Expression, Key, Kind, Left, Origin, Part, Profile, ProfileError,
    Resource, Role, Scope,
};
use crate::formula::Formula;
use crate::host::KernelVersion;
use crate::limits::PROFILE_ENTRIES_MAX;
use crate::plan::VARIABLES;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CostsFile {
    cost: Vec<CostEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileFile {
    role: Role,
    summary: String,
    kernel: Option<Spanned<String>>,
    unit: String,
    #[serde(default)]
    cost: Vec<CostEntry>,
    #[serde(default)]
    derived: Vec<DerivedEntry>,
    #[serde(default)]
    budget: Vec<PartEntry>,
    #[serde(default)]
    derived_after_budget: Vec<DerivedEntry>,
    #[serde(default)]
    resource: Vec<ResourceEntry>,
    #[serde(default)]
    key: Vec<KeyEntry>,
    #[serde(default)]
    left: Vec<LeftEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CostEntry {
    name: Spanned<String>,
    value: f64,
    unit: String,
    origin: Origin,
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DerivedEntry {
    name: Spanned<String>,
    formula: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartEntry {
    name: Spanned<String>,
    bytes: Spanned<String>,
    why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourceEntry {
    name: Spanned<String>,
    need: Spanned<String>,
    have: Spanned<String>,
    have_after: Option<Spanned<String>>,
    why: String,
    counter: String,
    action: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    name: Spanned<String>,
    kind: Kind,
    read: Option<String>,
    value: Option<Vec<Spanned<String>>>,
    words: Option<Vec<String>>,
    #[serde(default)]
    bound: Vec<Bound>,
    need: Option<Spanned<String>>,
    #[serde(default)]
    need_column: usize,
    when: Option<Spanned<String>>,
    scope: Scope,
    pod_safe_since: Option<String>,
    kernel: Spanned<String>,
    module: Option<String>,
    capability: Option<u32>,
    #[serde(default)]
    lowers: bool,
    #[serde(default = "yes")]
    apply: bool,
    #[serde(default)]
    at_listen: bool,
    default: String,
    why: String,
    risk: String,
    counter: String,
    source: String,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeftEntry {
    name: Spanned<String>,
    why: String,
    #[serde(default)]
    harmful: bool,
}

/// Reads the costs of all roles and one profile.
pub(super) fn parse(costs: (&str, &str), profile: (&str, &str)) -> Result<Profile, ProfileError> {
    let mut reader = Reader::new(Text { file: costs.0, text: costs.1 });
    let shared: CostsFile = reader.toml()?;
    let mut all_costs = reader.costs(shared.cost)?;
    reader.text = Text { file: profile.0, text: profile.1 };
    let file: ProfileFile = reader.toml()?;
    reader.bounded(&file)?;
    all_costs.extend(reader.costs(file.cost)?);
    let derived = reader.derived(file.derived)?;
    let budget = reader.budget(file.budget)?;
    let derived_after_budget = reader.derived(file.derived_after_budget)?;
    let resources = reader.resources(file.resource)?;
    let keys = reader.keys(file.key)?;
    let left = reader.left(file.left, &keys)?;
    let kernel = file.kernel.map(|kernel| reader.kernel(&kernel)).transpose()?;
    let (role, summary, unit) = (file.role, file.summary, file.unit);
    Ok(Profile {
        role,
        summary,
        kernel,
        unit,
        costs: all_costs,
        derived,
        budget,
        derived_after_budget,
        resources,
        keys,
        left,
    })
}

/// Reads entries in order and remembers the names that formulas may use.
struct Reader<'a> {
    text: Text<'a>,
    names: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    fn new(text: Text<'a>) -> Self {
        Self { text, names: VARIABLES.iter().map(|(name, _)| (*name).to_owned()).collect() }
    }

    fn toml<T: serde::de::DeserializeOwned>(&self) -> Result<T, ProfileError> {
        toml::from_str(self.text.text).map_err(|error| self.text.syntax(&error))
    }

    fn bounded(&self, file: &ProfileFile) -> Result<(), ProfileError> {
        let longest = [file.cost.len(), file.derived.len(), file.budget.len(), file.key.len()];
        if longest.into_iter().chain([file.resource.len(), file.left.len()]).max()
            > Some(PROFILE_ENTRIES_MAX)
        {
            return Err(self.text.error(0, format!("more than {PROFILE_ENTRIES_MAX} entries")));
        }
        Ok(())
    }

    /// Makes a name known to the formulas that follow.
    fn define(&mut self, name: &Spanned<String>) -> Result<(), ProfileError> {
        if self.names.insert(name.get_ref().clone()) {
            return Ok(());
        }
        Err(self.text.error(name.span().start, format!("{} is defined twice", name.get_ref())))
    }

    fn expression(&self, text: &Spanned<String>) -> Result<Expression, ProfileError> {
        let told = |message: String| self.text.error(text.span().start, message);
        let formula = Formula::parse(text.get_ref())
            .map_err(|error| told(format!("{:?}: {error}", text.get_ref())))?;
        if let Some(name) = formula.names().into_iter().find(|name| !self.names.contains(*name)) {
            return Err(told(format!("{:?}: unknown variable {name}", text.get_ref())));
        }
        let place = self.text.place(text.span().start);
        Ok(Expression { place, text: text.get_ref().clone(), formula })
    }

    fn costs(&mut self, entries: Vec<CostEntry>) -> Result<Vec<Cost>, ProfileError> {
        let mut costs = Vec::with_capacity(entries.len());
        for CostEntry { name, value, unit, origin, source } in entries {
            if !value.is_finite() || value < 0.0 {
                return Err(self.text.error(name.span().start, "a cost is a number from 0 on"));
            }
            self.define(&name)?;
            costs.push(Cost { name: name.into_inner(), value, unit, origin, source });
        }
        Ok(costs)
    }

    fn derived(
        &mut self,
        entries: Vec<DerivedEntry>,
    ) -> Result<Vec<(String, Expression)>, ProfileError> {
        let mut derived = Vec::with_capacity(entries.len());
        for DerivedEntry { name, formula } in entries {
            let expression = self.expression(&formula)?;
            self.define(&name)?;
            derived.push((name.into_inner(), expression));
        }
        Ok(derived)
    }

    /// `user` and `slab` and so on can be used by the keys, as `user_bytes`, `slab_bytes`.
    fn budget(&mut self, entries: Vec<PartEntry>) -> Result<Vec<Part>, ProfileError> {
        let mut parts = Vec::with_capacity(entries.len());
        for PartEntry { name, bytes, why } in entries {
            let bytes = self.expression(&bytes)?;
            let named = format!("{}_bytes", name.get_ref());
            self.define(&Spanned::new(name.span(), named))?;
            parts.push(Part { name: name.into_inner(), bytes, why });
        }
        Ok(parts)
    }

    fn resources(&self, entries: Vec<ResourceEntry>) -> Result<Vec<Resource>, ProfileError> {
        let mut lines = BTreeMap::new();
        let resource = |entry: ResourceEntry| {
            self.once(&mut lines, &entry.name)?;
            let (need, have) = (self.expression(&entry.need)?, self.expression(&entry.have)?);
            let after = entry.have_after.as_ref();
            let have_after = after.map(|after| self.expression(after)).transpose()?;
            let ResourceEntry { name, why, counter, action, .. } = entry;
            Ok(Resource { name: name.into_inner(), need, have, have_after, why, counter, action })
        };
        entries.into_iter().map(resource).collect()
    }

    fn keys(&self, entries: Vec<KeyEntry>) -> Result<Vec<Key>, ProfileError> {
        let mut lines = BTreeMap::new();
        let key = |entry: KeyEntry| {
            self.once(&mut lines, &entry.name)?;
            self.key(entry)
        };
        entries.into_iter().map(key).collect()
    }

    /// Refuses a name that stood before, and says where.
    fn once(
        &self,
        lines: &mut BTreeMap<String, usize>,
        name: &Spanned<String>,
    ) -> Result<(), ProfileError> {
        let error = self.text.error(name.span().start, "");
        match lines.insert(name.get_ref().clone(), error.line) {
            None => Ok(()),
            Some(first) => {
                let message = format!("{} stands twice, first in line {first}", name.get_ref());
                Err(ProfileError { message, ..error })
            }
        }
    }

    fn key(&self, entry: KeyEntry) -> Result<Key, ProfileError> {
        let at = entry.name.span().start;
        let told =
            |message: String| self.text.error(at, format!("{}: {message}", entry.name.get_ref()));
        if let Some(contradiction) = contradiction(&entry) {
            return Err(told(contradiction.to_owned()));
        }
        let columns = self.columns(&entry)?;
        let need = match &entry.need {
            Some(_) if entry.need_column >= columns.len() => {
                return Err(told(format!(
                    "need_column {} is not one of its columns",
                    entry.need_column
                )));
            }
            Some(need) => Some((entry.need_column, self.expression(need)?)),
            None => None,
        };
        let kernel = self.kernel(&entry.kernel)?;
        let when = entry.when.as_ref().map(|when| self.expression(when)).transpose()?;
        let KeyEntry {
            kind, read, scope, pod_safe_since, module, capability, lowers, apply, ..
        } = entry;
        let KeyEntry { name, at_listen, default, why, risk, counter, source, .. } = entry;
        let name = name.into_inner();
        Ok(Key {
            place: self.text.place(at),
            name,
            kind,
            read,
            columns,
            need,
            when,
            scope,
            pod_safe_since,
            kernel,
            module,
            capability,
            lowers,
            apply,
            at_listen,
            default,
            why,
            risk,
            counter,
            source,
        })
    }

    fn kernel(&self, text: &Spanned<String>) -> Result<KernelVersion, ProfileError> {
        let wrong = || self.text.error(text.span().start, "a kernel is written like \"6.1\"");
        KernelVersion::parse(text.get_ref()).ok_or_else(wrong)
    }

    fn columns(&self, entry: &KeyEntry) -> Result<Vec<Column>, ProfileError> {
        if let Some(words) = &entry.words {
            return Ok(vec![Column { asked: Asked::Words(words.clone()), bound: Bound::Equal }]);
        }
        let values = entry.value.iter().flatten();
        let column = |(index, text): (usize, &Spanned<String>)| {
            let bound = entry.bound[index.min(entry.bound.len() - 1)];
            Ok(Column { asked: Asked::Number(self.expression(text)?), bound })
        };
        values.enumerate().map(column).collect()
    }

    fn left(&self, entries: Vec<LeftEntry>, keys: &[Key]) -> Result<Vec<Left>, ProfileError> {
        let mut lines = BTreeMap::new();
        let left = |LeftEntry { name, why, harmful }| {
            self.once(&mut lines, &name)?;
            if keys.iter().any(|key| key.name == *name.get_ref()) {
                let message = format!("{} is both asked for and left alone", name.get_ref());
                return Err(self.text.error(name.span().start, message));
            }
            Ok(Left { name: name.into_inner(), why, harmful })
        };
        entries.into_iter().map(left).collect()
    }
}

/// Statements of one key that cannot be true together.
fn contradiction(entry: &KeyEntry) -> Option<&'static str> {
    let values = entry.value.as_ref().map_or(0, Vec::len);
    match (&entry.value, &entry.words) {
        (Some(_), Some(_)) => return Some("it has both a value and words"),
        (None, None) => return Some("it has neither a value nor words"),
        (Some(_), None) if values == 0 => return Some("its value has no column"),
        (Some(_), None) if entry.bound.len() != 1 && entry.bound.len() != values => {
            return Some("it needs one bound, or one for each column");
        }
        (None, Some(words)) if words.is_empty() => return Some("it has no words to choose from"),
        (None, Some(_)) if !entry.bound.is_empty() => return Some("words have no bound"),
        (None, Some(_)) if entry.need.is_some() => return Some("words have no need"),
        _ => {}
    }
    let limit = entry.kind == Kind::Limit;
    if limit != (entry.scope == Scope::Process) {
        return Some("limits belong to a process, and nothing else does");
    }
    if entry.pod_safe_since.is_some() && entry.scope != Scope::Netns {
        return Some("a pod can only set what belongs to a network namespace");
    }
    if entry.kind == Kind::Boot && (entry.apply || entry.read.is_none()) {
        return Some("the command line cannot be applied, and `read` has to show what came of it");
    }
    if entry.capability.is_some() && !limit {
        return Some("only limits are lifted by a capability");
    }
    None
}
