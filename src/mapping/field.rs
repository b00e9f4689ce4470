//! One field's entry in a mapping file.

use toml::de::DeValue;

use super::asked::AskedTable;
use super::conversion;
use super::file::{Defaults, Tables, listed_entries, lower_words, scalar, strip};
use super::keys;
use super::mask::Mask;
use super::recipe::{Case, Origin, Otherwise, Piece, Recipe, Step, WhenEmpty};
use super::replace::{self, Replace};
use super::section::{Report, Section, Value, kind_of};
use super::table::{Entries, TableSource};

/// How a field is made, with column names as the file has them.
#[derive(Debug, Clone)]
pub struct FieldEntry {
    /// The field, or the parent's field, as written.
    pub name: String,
    /// The line of the file.
    pub line: usize,
    /// Where in the text it begins.
    pub(super) at: usize,
    /// How its values are made.
    pub recipe: Recipe<String>,
    /// Whether values are cut to the length of the field.
    pub truncates_to_field: bool,
    /// Whether numbers are rounded to the field's scale.
    pub scale_of_field: bool,
}

const ORIGINS: [&str; 4] = ["column", "constant", "template", "columns"];

impl FieldEntry {
    pub(super) fn read(
        report: &Report<'_>,
        name: &str,
        at: usize,
        value: &Value<'_>,
        defaults: &Defaults,
        tables: &mut Tables,
    ) -> Option<Self> {
        let about = format!("fields.{name}");
        let line = report.line(at);
        let mut entry = FieldEntry {
            name: name.to_owned(),
            line,
            at,
            recipe: Recipe {
                origin: Origin::Constant(String::new()),
                steps: Vec::new(),
                empty: defaults.empty.clone(),
            },
            truncates_to_field: false,
            scale_of_field: false,
        };
        match value.get_ref() {
            DeValue::String(column) => {
                entry.recipe.origin = Origin::Column(column.as_ref().to_owned());
                entry.begin(None, defaults);
                entry.truncates_to_field = defaults.truncate;
            }
            DeValue::Table(table) => {
                let below = table
                    .keys()
                    .map(|key| key.get_ref().as_ref())
                    .find(|key| !keys::FIELD.contains(key));
                if let Some(below) = below
                    && !ORIGINS.iter().any(|key| table.contains_key(*key))
                {
                    report.hinted(
                        at,
                        &about,
                        format!("`{below}` is no key of a field"),
                        Some(format!(
                            "a name with a dot stands in quotes: \"{name}.{below}\" = ..."
                        )),
                    );
                    return None;
                }
                let section = Section::new(report, table, &about, at, keys::FIELD);
                entry.read_table(&section, defaults, tables)?;
            }
            other => {
                let message = format!(
                    "must be the name of a column in quotes or a table, it is {}",
                    kind_of(other)
                );
                report.add(at, &about, message);
                return None;
            }
        }
        Some(entry)
    }

    /// The steps that any field may begin with.
    fn begin(&mut self, section: Option<&Section<'_, '_>>, defaults: &Defaults) {
        let flag = |key: &str, default: bool| {
            section.and_then(|section| section.flag(key)).unwrap_or(default)
        };
        let steps = &mut self.recipe.steps;
        let own = section.and_then(strip);
        steps.extend(own.unwrap_or_else(|| defaults.strip.clone()));
        if flag("collapse", defaults.collapse) {
            steps.push(Step::Collapse);
        } else if flag("trim", defaults.trim) {
            steps.push(Step::Trim);
        }
        let words = section.and_then(|section| lower_words(section, "empty_words"));
        let words = words.unwrap_or_else(|| defaults.empty_words.clone());
        if !words.is_empty() {
            steps.push(Step::EmptyWords(words));
        }
    }

    fn read_table(
        &mut self,
        section: &Section<'_, '_>,
        defaults: &Defaults,
        tables: &mut Tables,
    ) -> Option<()> {
        self.recipe.origin = origin(section)?;
        if matches!(self.recipe.origin, Origin::Constant(_)) {
            for (key, _, _) in section.entries() {
                if key != "constant" && keys::FIELD.contains(&key) {
                    section
                        .wrong(key, "does not go with `constant`, which is sent as it is written");
                }
            }
            self.recipe.empty = WhenEmpty::AsAsked;
            return Some(());
        }
        let is_key = matches!(self.recipe.origin, Origin::Key(_));
        if is_key {
            for key in [
                "strip",
                "trim",
                "collapse",
                "empty_words",
                "replace",
                "substring",
                "split",
                "map",
                "join",
            ] {
                if section.has(key) {
                    section
                        .wrong(key, "does not go with a composite key (`columns` with `lookup`)");
                }
            }
        } else {
            self.begin(Some(section), defaults);
            self.replaces(section);
            self.parts(section, tables);
        }
        self.lookup(section, tables);
        if let Some(case) = section.word("case", keys::CASE) {
            self.recipe.steps.push(Step::Case(match case {
                "upper" => Case::Upper,
                "lower" => Case::Lower,
                _ => Case::Title,
            }));
        }
        if let Some(conversion) = conversion::read(section, defaults) {
            self.scale_of_field = conversion.scale_of_field;
            self.recipe.steps.push(conversion.step);
        }
        self.mask(section);
        self.truncate(section, defaults);
        self.empty(section, defaults);
        Some(())
    }

    fn replaces(&mut self, section: &Section<'_, '_>) {
        let Some(value) = section.get("replace") else { return };
        let about = format!("{}.replace", section.about);
        let DeValue::Array(list) = value.get_ref() else {
            section.wrong("replace", "must be a list of tables with `pattern` and `with`");
            return;
        };
        for value in list {
            let at = value.span().start;
            let DeValue::Table(table) = value.get_ref() else {
                section.report.add(at, &about, "must be a table with `pattern` and `with`");
                continue;
            };
            let entry = Section::new(section.report, table, &about, at, keys::REPLACE);
            let (Some(pattern), Some(with)) = (entry.text("pattern"), entry.text("with")) else {
                if !(entry.has("pattern") && entry.has("with")) {
                    section.report.add(at, &about, "needs `pattern` and `with`");
                }
                continue;
            };
            match replace::compile(pattern) {
                Err(what) => entry.wrong("pattern", format!("is no regular expression: {what}")),
                Ok(regex) => {
                    for group in replace::groups(with) {
                        let is_there = match group.parse::<usize>() {
                            Ok(number) => number < regex.captures_len(),
                            Err(_) => regex.capture_names().flatten().any(|name| name == group),
                        };
                        if !is_there {
                            entry.wrong(
                                "with",
                                format!(
                                    "names the group `{group}`, which the pattern doesn't have; \
                                     `$$` stands for a dollar sign"
                                ),
                            );
                        }
                    }
                }
            }
            self.recipe.steps.push(Step::Replace(Replace {
                pattern: pattern.to_owned(),
                with: with.to_owned(),
            }));
        }
    }

    /// `substring`, `split` and `map`.
    fn parts(&mut self, section: &Section<'_, '_>, tables: &mut Tables) {
        if let Some((table, at)) = section.table("substring") {
            let about = format!("{}.substring", section.about);
            let part = Section::new(section.report, table, &about, at, keys::SUBSTRING);
            let start = part.number("start", &(-131_072..131_073)).unwrap_or(1);
            if start == 0 {
                part.wrong("start", "can't be 0: 1 is the first character, -1 the last");
            }
            let length = part.number("length", &(1..131_073));
            self.recipe.steps.push(Step::Substring {
                start: start as i32,
                length: length.and_then(|length| u32::try_from(length).ok()),
            });
        }
        let map = map(section, &self.name, tables);
        let split = section.text("split");
        if split.is_none() && section.has("piece") {
            section.wrong("piece", "goes with `split`");
        }
        let Some(split) = split else {
            if section.has("join") && !matches!(self.recipe.origin, Origin::Joined { .. }) {
                section.wrong("join", "goes with `columns` or `split`");
            }
            if let Some((table, otherwise)) = map {
                self.recipe.steps.push(Step::Map { table, otherwise });
            }
            return;
        };
        if split.is_empty() {
            section.wrong("split", "must not be empty");
        }
        if matches!(self.recipe.origin, Origin::Joined { .. }) {
            section.wrong("split", "does not go with `columns`; a template can join them");
        }
        let split = split.to_owned();
        if let Some(piece) = section.number("piece", &(-1_000..1_001)) {
            if piece == 0 {
                section.wrong("piece", "can't be 0: 1 is the first piece, -1 the last");
            }
            if section.has("join") {
                section.wrong("join", "does not go with `piece`, which is one alone");
            }
            self.recipe.steps.push(Step::Piece { split, piece: piece as i32 });
            if let Some((table, otherwise)) = map {
                self.recipe.steps.push(Step::Map { table, otherwise });
            }
        } else {
            let join = section.text("join").unwrap_or(";").to_owned();
            self.recipe.steps.push(Step::Pieces { split, join, map });
        }
    }

    fn lookup(&mut self, section: &Section<'_, '_>, tables: &mut Tables) {
        let Some(name) = section.text("lookup") else {
            for key in ["missing", "ambiguous"] {
                if section.has(key) {
                    section.wrong(key, "goes with `lookup`");
                }
            }
            return;
        };
        let missing = otherwise(section, "missing", keys::MISSING);
        let ambiguous = otherwise(section, "ambiguous", keys::MISSING);
        let listed = tables.find(&format!("lookups.{name}"));
        let Some(table) = listed.or_else(|| asked(name, section.place("lookup"), tables)) else {
            let unknown = unknown_table(name, "lookups", tables);
            let message = format!("{unknown}; a lookup in the org is written `User by Email`");
            section.wrong("lookup", message);
            return;
        };
        let parts = match &self.recipe.origin {
            Origin::Key(columns) => columns.len(),
            _ => 1,
        };
        // Of one that is wrong nothing is known.
        let known = tables.sources.get(table);
        let known = known.filter(|source| !matches!(source.entries, Entries::Listed(_)));
        if let Some(wanted) = known.map(TableSource::parts)
            && wanted != parts
        {
            section.wrong(
                "lookup",
                format!(
                    "names `{name}`, whose key has {wanted} columns where this field gives {parts}; \
                     `columns` names as many as the key has"
                ),
            );
        }
        self.recipe.steps.push(Step::Lookup { table, missing, ambiguous });
    }

    fn mask(&mut self, section: &Section<'_, '_>) {
        let mask = section.word("mask", keys::MASK).map(|word| match word {
            "name" => Mask::Name,
            "text" => Mask::Text,
            "phone" => Mask::Phone,
            _ => Mask::Email,
        });
        let hash = section.get("hash").and_then(|value| match value.get_ref() {
            DeValue::Boolean(true) => Some(Mask::Hash(32)),
            DeValue::Table(table) => {
                let about = format!("{}.hash", section.about);
                let at = value.span().start;
                let table = Section::new(section.report, table, &about, at, keys::HASH);
                let digits = table.number("length", &(8..65)).unwrap_or(32);
                u8::try_from(digits).ok().map(Mask::Hash)
            }
            _ => {
                section.wrong("hash", "must be `true` or a table with `length`");
                None
            }
        });
        if mask.is_some() && hash.is_some() {
            section.wrong("hash", "does not go with `mask`: take one of them");
        }
        self.recipe.steps.extend(mask.or(hash).map(Step::Mask));
    }

    fn truncate(&mut self, section: &Section<'_, '_>, defaults: &Defaults) {
        let is_number = section.get("truncate").is_some_and(|value| value.get_ref().is_integer());
        if is_number {
            if let Some(chars) = section.number("truncate", &(1..131_073)) {
                self.recipe.steps.push(Step::Truncate(chars as u32));
            }
        } else {
            self.truncates_to_field = section.flag("truncate").unwrap_or(defaults.truncate);
        }
    }

    fn empty(&mut self, section: &Section<'_, '_>, defaults: &Defaults) {
        let default = section.get("default").and_then(|value| {
            let text = scalar(value);
            if text.is_none() {
                section.wrong("default", "must be text, a number, `true` or `false`");
            }
            text
        });
        self.recipe.empty = match (section.word("empty", keys::EMPTY), default) {
            (None | Some("default"), Some(default)) => WhenEmpty::Default(default),
            (Some("default"), None) => {
                if !section.has("default") {
                    section.wrong("empty", "is `default`, so `default` must say what is sent");
                }
                WhenEmpty::AsAsked
            }
            (Some(word), Some(_)) => {
                section.wrong("default", format!("does not go with `empty = \"{word}\"`"));
                WhenEmpty::AsAsked
            }
            (Some("skip"), None) => WhenEmpty::Skip,
            (Some("clear"), None) => WhenEmpty::Clear,
            (Some(_), None) => WhenEmpty::Reject,
            (None, None) => defaults.empty.clone(),
        };
    }
}

/// Where a field's value comes from.
fn origin(section: &Section<'_, '_>) -> Option<Origin<String>> {
    let named: Vec<&str> = ORIGINS.into_iter().filter(|key| section.has(key)).collect();
    let [origin] = named.as_slice() else {
        let message = match named.as_slice() {
            [] => "says nowhere where its value comes from; it needs one of `column`, `constant`, \
                   `template`, `columns`"
                .to_owned(),
            [one, other, ..] => format!("has both `{one}` and `{other}`; a field has one of them"),
            [_] => return None,
        };
        section.report.add(section.at, section.about, message);
        return None;
    };
    Some(match *origin {
        "column" => Origin::Column(section.text("column")?.to_owned()),
        "constant" => {
            let value = scalar(section.get("constant")?);
            if value.is_none() {
                section.wrong("constant", "must be text, a number, `true` or `false`");
            }
            Origin::Constant(value?)
        }
        "template" => {
            let text = section.text("template")?;
            match template(text) {
                Ok(pieces) => Origin::Template(pieces),
                Err(what) => {
                    section.wrong("template", what);
                    return None;
                }
            }
        }
        _ => {
            let columns = section.texts("columns")?.into_iter().map(str::to_owned).collect();
            if section.has("lookup") {
                Origin::Key(columns)
            } else {
                let by =
                    if section.has("split") { " " } else { section.text("join").unwrap_or(" ") };
                Origin::Joined { columns, by: by.to_owned() }
            }
        }
    })
}

/// Takes a template apart.
fn template(text: &str) -> Result<Vec<Piece<String>>, String> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        literal.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix(brace) {
            literal.push_str(brace);
            rest = behind;
            continue;
        }
        if brace == "}" {
            return Err("has a `}` without a `{`; `}}` stands for the brace itself".to_owned());
        }
        let Some(end) = rest.find('}') else {
            return Err("has a `{` without a `}`; `{{` stands for the brace itself".to_owned());
        };
        let column = rest[..end].trim();
        if column.is_empty() || column.contains('{') {
            return Err("has braces without the name of a column in them".to_owned());
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Column(column.to_owned()));
        rest = &rest[end + 1..];
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    if pieces.iter().any(|piece| matches!(piece, Piece::Column(_))) {
        Ok(pieces)
    } else {
        Err("names no column; a text that is always the same is a `constant`".to_owned())
    }
}

/// The value map of a field, and what happens without an entry.
fn map(section: &Section<'_, '_>, field: &str, tables: &mut Tables) -> Option<(usize, Otherwise)> {
    let Some(value) = section.get("map") else {
        if section.has("else") {
            section.wrong("else", "goes with `map`");
        }
        return None;
    };
    let without = otherwise(section, "else", keys::ELSE);
    let table = match value.get_ref() {
        DeValue::String(name) => match tables.find(&format!("maps.{name}")) {
            Some(table) => table,
            None => {
                section.wrong("map", unknown_table(name, "maps", tables));
                return None;
            }
        },
        DeValue::Table(_) => {
            let entries = listed_entries(section, "map")?;
            let source = TableSource {
                name: format!("fields.{field}.map"),
                ignore_case: false,
                may_be_ambiguous: false,
                entries: Entries::Listed(entries),
            };
            tables.add(source, value.span().start)
        }
        other => {
            let kind = kind_of(other);
            section.wrong(
                "map",
                format!("must be a table of values or the name of one of [maps], it is {kind}"),
            );
            return None;
        }
    };
    Some((table, without))
}

/// The table of a short form such as `User by Email`.
fn asked(text: &str, at: usize, tables: &mut Tables) -> Option<usize> {
    let asked = AskedTable::short(text)?;
    let name = asked.short_name();
    tables.find(&name).or_else(|| {
        Some(tables.add(
            TableSource {
                name,
                ignore_case: true,
                may_be_ambiguous: true,
                entries: Entries::Asked(asked),
            },
            at,
        ))
    })
}

fn unknown_table(name: &str, kind: &str, tables: &Tables) -> String {
    let names = tables.names(&format!("{kind}."));
    if names.is_empty() {
        format!("names `{name}`, but there is no [{kind}.{name}]")
    } else {
        format!("names `{name}`; there are {}", super::section::listed(&names))
    }
}

/// `"reject"`, `"keep"`, `"null"` or `{ value = ... }`.
fn otherwise(section: &Section<'_, '_>, key: &str, words: &[&str]) -> Otherwise {
    let Some(value) = section.get(key) else { return Otherwise::Reject };
    if let DeValue::Table(table) = value.get_ref() {
        let about = format!("{}.{key}", section.about);
        let at = value.span().start;
        let inner = Section::new(section.report, table, &about, at, keys::OTHERWISE);
        return match inner.get("value").and_then(scalar) {
            Some(value) => Otherwise::Value(value),
            None => {
                section.report.add(at, &about, "needs `value`: text, a number, `true` or `false`");
                Otherwise::Reject
            }
        };
    }
    match value.get_ref().as_str().filter(|word| words.contains(word)) {
        Some("keep") => Otherwise::Keep,
        Some("null") => Otherwise::Null,
        Some(_) => Otherwise::Reject,
        None => {
            let words = super::section::listed(words);
            section.wrong(key, format!("must be one of {words}, or {{ value = ... }}"));
            Otherwise::Reject
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_taken_apart() {
        let text = |text: &str| Piece::Text(text.to_owned());
        let column = |name: &str| Piece::Column(name.to_owned());
        assert_eq!(template("{A} {{x}} { B }").unwrap(), [column("A"), text(" {x} "), column("B")]);
        for (wrong, told) in [
            ("{A", "has a `{` without a `}`"),
            ("A}", "has a `}` without a `{`"),
            ("{}", "has braces without the name"),
            ("A", "names no column"),
        ] {
            assert!(template(wrong).unwrap_err().starts_with(told), "{wrong}");
        }
    }
}
