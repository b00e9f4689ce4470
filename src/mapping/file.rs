//! A mapping file, read and checked as far as it can be without header and
//! describe.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::asked::{AskedTable, is_path};
use super::field::FieldEntry;
use super::filter::{Condition, Filter, Test};
use super::keys;
use super::maker::Loaded;
use super::mask::{MaskKey, SecretName, Secrets};
use super::problem::{MappingError, MappingProblem, file_name};
use super::recipe::{Step, WhenEmpty};
use super::replace;
use super::section::{Report, Section, Value, kind_of, listed};
use super::table::{Entries, Table, TableFile, TableFiles, TableSource};

/// Bytes a mapping file may have.
const MOST_BYTES: u64 = 4 << 20;

/// A mapping as its file says it.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// The file.
    pub path: PathBuf,
    /// What becomes of columns that no field takes.
    pub unmapped: Unmapped,
    /// The fields, in the order of the file.
    pub fields: Vec<FieldEntry>,
    /// Which rows are sent, and where the file says so.
    pub filter: Option<(Filter<String>, usize)>,
    /// Value maps and lookups.
    pub tables: Vec<TableSource>,
    /// The line of each.
    pub table_lines: Vec<usize>,
    /// The secret, if values are masked.
    pub secret: Option<SecretName>,
    /// Tables and secret in memory.
    pub loaded: Loaded,
}

/// What becomes of columns that no field takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unmapped {
    /// They are not sent.
    #[default]
    LeaveOut,
    /// They are sent under their own names.
    Send,
    /// The load is refused.
    Refuse,
}

/// What holds for all fields.
#[derive(Debug, Clone)]
pub(super) struct Defaults {
    pub(super) strip: Vec<Step>,
    pub(super) trim: bool,
    pub(super) collapse: bool,
    pub(super) empty_words: Vec<String>,
    pub(super) empty: WhenEmpty,
    pub(super) truncate: bool,
    pub(super) decimal: char,
    pub(super) grouping: Option<char>,
    pub(super) timezone: Option<String>,
    pub(super) pivot: Option<i16>,
}

/// The tables of a mapping by their names, in the making.
pub(super) struct Tables {
    pub(super) sources: Vec<TableSource>,
    /// Where each is in the text.
    places: Vec<usize>,
}

impl Tables {
    /// The place of a table among all.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.sources.iter().position(|source| source.name == name)
    }

    pub(super) fn add(&mut self, source: TableSource, at: usize) -> usize {
        self.sources.push(source);
        self.places.push(at);
        self.sources.len() - 1
    }

    /// The names of those of a kind, such as `maps.`.
    pub(super) fn names(&self, kind: &str) -> Vec<&str> {
        self.sources.iter().filter_map(|source| source.name.strip_prefix(kind)).collect()
    }
}

impl Mapping {
    /// Reads a mapping file, and with `files` those it names.
    ///
    /// # Errors
    /// [`MappingError`] with all that is wrong.
    pub fn read(
        path: &Path,
        secrets: &Secrets,
        files: &dyn TableFiles,
    ) -> Result<Self, MappingError> {
        let problem = |message: String| {
            MappingError::new(
                path,
                vec![MappingProblem { line: None, about: String::new(), message, hint: None }],
            )
        };
        let bytes = std::fs::metadata(path).map(|it| it.len());
        if bytes.is_ok_and(|bytes| bytes > MOST_BYTES) {
            return Err(problem(format!(
                "it has more than {} MiB; put value maps into files of their own",
                MOST_BYTES >> 20
            )));
        }
        let text =
            std::fs::read(path).map_err(|error| problem(format!("can't be read: {error}")))?;
        let text = String::from_utf8(text)
            .map_err(|_| problem("is not UTF-8; save it in that encoding".to_owned()))?;
        Mapping::parse(&text, path, secrets, files)
    }

    /// Reads the text of a mapping file; files are named from where `path`
    /// lies.
    ///
    /// # Errors
    /// [`MappingError`] with all that is wrong.
    pub fn parse(
        text: &str,
        path: &Path,
        secrets: &Secrets,
        files: &dyn TableFiles,
    ) -> Result<Self, MappingError> {
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        let report = Report::new(text);
        let (parsed, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            report.add(at, "", error.message().trim_end_matches('.').replace('\n', ", "));
        }
        let mapping = if errors.is_empty() {
            Some(read_all(&report, parsed.get_ref(), path, secrets, files))
        } else {
            None
        };
        let problems = report.into_problems();
        match mapping {
            Some(mapping) if problems.is_empty() => Ok(mapping),
            _ => Err(MappingError::new(path, problems)),
        }
    }

    /// The tables that fields use, by their place.
    pub(super) fn used_tables(&self) -> BTreeSet<usize> {
        let steps = self.fields.iter().flat_map(|field| &field.recipe.steps);
        steps.filter_map(Step::table).collect()
    }

    /// `maps.NAME` and `lookups.NAME` that no field uses.
    pub fn unused_tables(&self) -> Vec<&str> {
        let used = self.used_tables();
        let tables = self.tables.iter().enumerate().filter(|(at, _)| !used.contains(at));
        tables.map(|(_, source)| source.name.as_str()).collect()
    }

    /// What lies on disk because it is too large for memory, with its keys.
    pub fn tables_on_disk(&self) -> impl Iterator<Item = (&str, u64)> {
        let tables = self.tables.iter().zip(&self.loaded.tables);
        let on_disk = tables.filter(|(_, table)| table.is_on_disk());
        on_disk.map(|(source, table)| (source.name.as_str(), table.keys()))
    }

    /// The name of the file alone, as messages call it.
    pub fn file_name(&self) -> String {
        file_name(&self.path)
    }
}

fn read_all(
    report: &Report<'_>,
    table: &DeTable<'_>,
    path: &Path,
    secrets: &Secrets,
    files: &dyn TableFiles,
) -> Mapping {
    let folder = path.parent().unwrap_or(Path::new(""));
    let top = Section::new(report, table, "", 0, keys::TOP);
    let unmapped = match top.word("unmapped", keys::UNMAPPED) {
        Some("send") => Unmapped::Send,
        Some("refuse") => Unmapped::Refuse,
        _ => Unmapped::LeaveOut,
    };
    let defaults = defaults(&top);
    let mut tables = Tables { sources: Vec::new(), places: Vec::new() };
    read_tables(&top, "maps", folder, &mut tables);
    read_tables(&top, "lookups", folder, &mut tables);
    let mut fields = Vec::new();
    if let Some((table, at)) = top.table("fields") {
        let names: Vec<&str> = table.keys().map(|key| key.get_ref().as_ref()).collect();
        let section = Section::new(report, table, "fields", at, &names);
        for (name, at, value) in section.entries() {
            fields.extend(FieldEntry::read(report, name, at, value, &defaults, &mut tables));
        }
    }
    note_doubles(report, &fields);
    let filter = top.table("filter").and_then(|(table, at)| {
        let filter = read_filter(&Section::new(report, table, "filter", at, keys::FILTER))?;
        Some((filter, report.line(at)))
    });
    let mut loaded = Loaded::default();
    let mut sources = tables.sources;
    for (source, at) in sources.iter_mut().zip(&tables.places) {
        match Table::load(source, None, files) {
            Ok(table) => loaded.tables.push(Arc::new(table)),
            Err(what) => report.add(*at, &source.name, what),
        }
    }
    let secret = read_secret(&top, &fields, secrets, &mut loaded);
    Mapping {
        path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        unmapped,
        fields,
        filter,
        tables: sources,
        table_lines: tables.places.iter().map(|at| report.line(*at)).collect(),
        secret,
        loaded,
    }
}

/// Notes entries for a field that has one before, in another letter case.
fn note_doubles(report: &Report<'_>, fields: &[FieldEntry]) {
    for (at, field) in fields.iter().enumerate() {
        let earlier = fields.get(..at).unwrap_or_default();
        if let Some(before) = earlier.iter().find(|one| one.name.eq_ignore_ascii_case(&field.name))
        {
            let about = format!("fields.{}", field.name);
            let message = format!("the entry in line {} sets this field, too", before.line);
            let hint = Some("take one of them out of the mapping".to_owned());
            report.hinted(field.at, &about, message, hint);
        }
    }
}

/// Finds the secret, where a field is masked.
fn read_secret(
    top: &Section<'_, '_>,
    fields: &[FieldEntry],
    secrets: &Secrets,
    loaded: &mut Loaded,
) -> Option<SecretName> {
    let masks =
        |field: &&FieldEntry| field.recipe.steps.iter().any(|step| matches!(step, Step::Mask(_)));
    let variable = top.text("secret_env");
    let masked = fields.iter().find(masks)?;
    let Some(variable) = variable else {
        top.report.add(
            masked.at,
            &format!("fields.{}", masked.name),
            "`mask` and `hash` need a secret: `secret_env`, at the top of the file, names the \
             environment variable that holds it",
        );
        return None;
    };
    match MaskKey::of(variable, secrets) {
        Ok(key) => {
            let secret = SecretName { variable: variable.to_owned(), check: key.check() };
            loaded.key = Some(key);
            Some(secret)
        }
        Err(what) => {
            top.report.add(top.place("secret_env"), "secret_env", what);
            None
        }
    }
}

/// One character of several.
pub(super) fn sign(section: &Section<'_, '_>, key: &str, signs: &[&str]) -> Option<char> {
    section.word(key, signs).and_then(|sign| sign.chars().next())
}

/// The steps of `strip`.
pub(super) fn strip(section: &Section<'_, '_>) -> Option<Vec<Step>> {
    let words = section.texts("strip")?;
    let mut steps = Vec::new();
    for word in &words {
        if !keys::STRIP.contains(word) {
            let allowed = listed(keys::STRIP);
            section.wrong("strip", format!("can't be `{word}`; allowed are {allowed}"));
        }
    }
    // HTML first: entities may be control characters.
    for (word, step) in [("html", Step::StripHtml), ("control", Step::StripControl)] {
        if words.contains(&word) {
            steps.push(step);
        }
    }
    Some(steps)
}

/// Words of a list, as they are compared.
pub(super) fn lower_words(section: &Section<'_, '_>, key: &str) -> Option<Vec<String>> {
    let words = section.texts(key)?;
    Some(words.iter().map(|word| word.trim().to_lowercase()).collect())
}

fn defaults(top: &Section<'_, '_>) -> Defaults {
    let mut defaults = Defaults {
        strip: Vec::new(),
        trim: false,
        collapse: false,
        empty_words: Vec::new(),
        empty: WhenEmpty::AsAsked,
        truncate: false,
        decimal: '.',
        grouping: None,
        timezone: None,
        pivot: None,
    };
    let Some((table, at)) = top.table("defaults") else { return defaults };
    let section = Section::new(top.report, table, "defaults", at, keys::DEFAULTS);
    defaults.strip = strip(&section).unwrap_or_default();
    defaults.trim = section.flag("trim").unwrap_or_default();
    defaults.collapse = section.flag("collapse").unwrap_or_default();
    defaults.empty_words = lower_words(&section, "empty_words").unwrap_or_default();
    defaults.empty = match section.word("empty", &["skip", "clear", "reject"]) {
        Some("skip") => WhenEmpty::Skip,
        Some("clear") => WhenEmpty::Clear,
        Some("reject") => WhenEmpty::Reject,
        _ => WhenEmpty::AsAsked,
    };
    defaults.truncate = section.flag("truncate").unwrap_or_default();
    defaults.decimal = sign(&section, "decimal", keys::DECIMAL).unwrap_or('.');
    defaults.grouping = sign(&section, "grouping", keys::GROUPING);
    if defaults.grouping == Some(defaults.decimal) {
        section.wrong("grouping", "is the decimal sign, too; they must differ");
        defaults.grouping = None;
    }
    defaults.timezone = section.text("timezone").map(str::to_owned);
    defaults.pivot = pivot(&section);
    defaults
}

/// `two_digit_years_from`.
pub(super) fn pivot(section: &Section<'_, '_>) -> Option<i16> {
    let year = section.number("two_digit_years_from", &(1800..2101))?;
    i16::try_from(year).ok()
}

fn read_tables(top: &Section<'_, '_>, kind: &str, folder: &Path, tables: &mut Tables) {
    let Some((all, at)) = top.table(kind) else { return };
    let names: Vec<&str> = all.keys().map(|key| key.get_ref().as_ref()).collect();
    let section = Section::new(top.report, all, kind, at, &names);
    for (name, at, value) in section.entries() {
        let about = format!("{kind}.{name}");
        let DeValue::Table(table) = value.get_ref() else {
            top.report.add(
                at,
                &about,
                format!("must be a table, it is {}", kind_of(value.get_ref())),
            );
            continue;
        };
        let source = if kind == "maps" {
            read_map(&Section::new(top.report, table, &about, at, keys::MAP), folder)
        } else {
            read_lookup(&Section::new(top.report, table, &about, at, keys::LOOKUP), folder)
        };
        // One that is wrong is known by its name, so that its fields are not
        // called wrong as well.
        let source = source.unwrap_or_else(|| TableSource {
            name: about.clone(),
            ignore_case: false,
            may_be_ambiguous: true,
            entries: Entries::Listed(Vec::new()),
        });
        tables.add(source, at);
    }
}

fn read_map(section: &Section<'_, '_>, folder: &Path) -> Option<TableSource> {
    let ignore_case = section.flag("ignore_case").unwrap_or_default();
    let entries = match (section.has("values"), section.has("file")) {
        (true, false) => {
            for key in ["from", "to", "delimiter", "encoding"] {
                if section.has(key) {
                    section.wrong(key, "goes with `file`, not with `values`");
                }
            }
            Entries::Listed(listed_entries(section, "values")?)
        }
        (false, true) => {
            let (from, to) = (needed(section, "from"), needed(section, "to"));
            Entries::File(table_file(section, folder, vec![from?], to?)?)
        }
        _ => {
            section.report.add(
                section.at,
                section.about,
                "a value map has its entries in `values`, or in a `file` with the columns `from` and \
                 `to`",
            );
            return None;
        }
    };
    let name = section.about.to_owned();
    Some(TableSource { name, ignore_case, may_be_ambiguous: false, entries })
}

fn read_lookup(section: &Section<'_, '_>, folder: &Path) -> Option<TableSource> {
    if section.has("object") {
        return read_question(section);
    }
    for key in ["by", "where"] {
        if section.has(key) {
            section.wrong(key, "goes with `object`, for a lookup in the org");
        }
    }
    let ignore_case = section.flag("ignore_case").unwrap_or_default();
    let missing = ["file", "key", "value"].into_iter().find(|key| !section.has(key));
    if let Some(key) = missing {
        let message = format!(
            "`{key}` is missing: a lookup has a `file`, its `key` and its `value` column, or an \
             `object` of the org and the fields `by` which its records are found"
        );
        section.report.add(section.at, section.about, message);
        return None;
    }
    let keys = section.texts("key")?.into_iter().map(str::to_owned).collect();
    let value = section.text("value")?.to_owned();
    let entries = Entries::File(table_file(section, folder, keys, value)?);
    let name = section.about.to_owned();
    Some(TableSource { name, ignore_case, may_be_ambiguous: true, entries })
}

/// A lookup that the org answers.
fn read_question(section: &Section<'_, '_>) -> Option<TableSource> {
    for key in ["file", "key", "delimiter", "encoding"] {
        if section.has(key) {
            section.wrong(key, "goes with a lookup in a file, not with `object`");
        }
    }
    if !section.has("by") {
        let message = "`by` is missing: it names the field, or the fields, by which records of the \
                       `object` are found";
        section.report.add(section.at, section.about, message);
        return None;
    }
    let keys: Vec<String> = section.texts("by")?.into_iter().map(str::to_owned).collect();
    let mut asked =
        AskedTable::new(section.text("object")?, keys, section.text("value").unwrap_or("Id"));
    let names = [("object", &asked.object), ("value", &asked.value)];
    let names = names.into_iter().chain(asked.keys.iter().map(|key| ("by", key)));
    for (key, name) in names {
        if !is_path(name) || (key == "object" && name.contains('.')) {
            section.wrong(key, format!("can't be `{name}`: it takes an API name"));
        }
    }
    asked.condition = section.text("where").map(str::to_owned);
    asked.ignore_case = section.flag("ignore_case");
    Some(TableSource {
        name: section.about.to_owned(),
        ignore_case: asked.ignore_case.unwrap_or(true),
        may_be_ambiguous: true,
        entries: Entries::Asked(asked),
    })
}

fn needed(section: &Section<'_, '_>, key: &str) -> Option<String> {
    if !section.has(key) {
        let message = format!("`{key}` is missing: `from` and `to` name the columns of the file");
        section.report.add(section.at, section.about, message);
    }
    section.text(key).map(str::to_owned)
}

fn table_file(
    section: &Section<'_, '_>,
    folder: &Path,
    keys: Vec<String>,
    value: String,
) -> Option<TableFile> {
    let path = folder.join(section.text("file")?);
    let delimiter = match section.text("delimiter") {
        None => None,
        Some("tab") => Some(b'\t'),
        Some(text) => match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Some(*byte),
            _ => {
                section.wrong("delimiter", "must be one character, or `tab`");
                return None;
            }
        },
    };
    let encoding = section.text("encoding").map(str::to_owned);
    let is_known = |label: &String| encoding_rs::Encoding::for_label(label.as_bytes()).is_some();
    if !encoding.as_ref().is_none_or(is_known) {
        section.wrong("encoding", "is no encoding; allowed are names such as `windows-1252`");
        return None;
    }
    let path = std::path::absolute(&path).unwrap_or(path);
    Some(TableFile { path, sha256: String::new(), keys, value, delimiter, encoding })
}

/// Entries of a map in the file itself.
pub(super) fn listed_entries(
    section: &Section<'_, '_>,
    key: &str,
) -> Option<Vec<(String, String)>> {
    let (table, at) = section.table(key)?;
    let names: Vec<&str> = table.keys().map(|key| key.get_ref().as_ref()).collect();
    let inner = Section::new(section.report, table, section.about, at, &names);
    let mut entries = Vec::new();
    for (name, at, value) in inner.entries() {
        match scalar(value) {
            Some(value) => entries.push((name.to_owned(), value)),
            None => section.report.add(
                at,
                section.about,
                format!(
                    "`{name}` must stand for text, a number, `true` or `false`, not for {}",
                    kind_of(value.get_ref())
                ),
            ),
        }
    }
    Some(entries)
}

/// A single value as it is sent.
pub(super) fn scalar(value: &Value<'_>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.as_ref().to_owned()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Datetime(date) => Some(date.to_string()),
        DeValue::Integer(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn read_filter(section: &Section<'_, '_>) -> Option<Filter<String>> {
    let conditions = |key: &str| -> Option<Vec<Condition<String>>> {
        let Some(value) = section.get(key) else { return Some(Vec::new()) };
        let DeValue::Array(list) = value.get_ref() else {
            section.wrong(key, "must be a list of conditions");
            return None;
        };
        if list.is_empty() {
            section.wrong(key, "must not be empty");
            return None;
        }
        let about = format!("filter.{key}");
        // All of them are read, so that all that is wrong is told.
        let read: Vec<Option<_>> = list
            .iter()
            .map(|value| {
                let at = value.span().start;
                let DeValue::Table(table) = value.get_ref() else {
                    section.report.add(
                        at,
                        &about,
                        "a condition is a table with `column` and a test",
                    );
                    return None;
                };
                read_condition(&Section::new(section.report, table, &about, at, keys::CONDITION))
            })
            .collect();
        read.into_iter().collect()
    };
    let (all, any) = (conditions("all"), conditions("any"));
    let filter = Filter { all: all?, any: any? };
    if filter.all.is_empty() && filter.any.is_empty() {
        section.report.add(section.at, section.about, "it needs `all` or `any`");
        return None;
    }
    Some(filter)
}

fn read_condition(section: &Section<'_, '_>) -> Option<Condition<String>> {
    const TESTS: [&str; 5] = ["is", "is_not", "matches", "matches_not", "empty"];
    let column = section.text("column").map(str::to_owned);
    let tests: Vec<&str> = TESTS.into_iter().filter(|key| section.has(key)).collect();
    let ([test], true) = (tests.as_slice(), section.has("column")) else {
        let message = format!("a condition has a `column` and exactly one of {}", listed(&TESTS));
        section.report.add(section.at, section.about, message);
        return None;
    };
    let owned = |words: Vec<&str>| words.into_iter().map(|word| word.trim().to_owned()).collect();
    let regex = || {
        let pattern = section.text(test)?;
        if let Err(what) = replace::compile(pattern) {
            section.wrong(test, format!("is no regular expression: {what}"));
        }
        Some(pattern.to_owned())
    };
    let test = match *test {
        "is" => Test::Is(owned(section.texts("is")?)),
        "is_not" => Test::IsNot(owned(section.texts("is_not")?)),
        "matches" => Test::Matches(regex()?),
        "matches_not" => Test::MatchesNot(regex()?),
        _ => Test::Empty(section.flag("empty")?),
    };
    let ignore_case = section.flag("ignore_case").unwrap_or_default();
    Some(Condition { column: column?, test, ignore_case })
}
