//! Lookups that the org answers: what is asked, and what comes back.
//!
//! A mapping knows no org. It has [`Question`]s; whoever can ask gives an
//! [`Answer`] to each, which becomes a table like that of a file. A run keeps it
//! as a file of its own, so that it goes on with the very same content.

use serde::{Deserialize, Serialize};

use super::Mapping;
use super::table::{ENTRY_BYTES, Entries, KeyForm, MOST_TABLE_BYTES, Table};

/// Records a lookup may have; at 2,000 a call, 250 calls.
pub const MOST_ASKED_RECORDS: u64 = 500_000;

/// A query whose records are a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedTable {
    /// The object whose records are looked up.
    pub object: String,
    /// The fields that are its key.
    pub keys: Vec<String>,
    /// The field that is sent.
    pub value: String,
    /// Which records; `None` for those that [`AskedTable::soql`] takes then.
    pub condition: Option<String>,
    /// The parts of the key that are record ids, by their place.
    #[serde(default)]
    pub id_keys: Vec<usize>,
    /// Whether letter case doesn't count; `None` for what the fields say.
    pub ignore_case: Option<bool>,
    /// The file in the run's folder that keeps what was found.
    pub file: String,
    /// SHA-256 of it, in hexadecimal; empty before the org was asked.
    pub sha256: String,
}

impl AskedTable {
    pub(super) fn new(object: &str, keys: Vec<String>, value: &str) -> Self {
        AskedTable {
            object: object.to_owned(),
            keys,
            value: value.to_owned(),
            condition: None,
            id_keys: Vec::new(),
            ignore_case: None,
            file: String::new(),
            sha256: String::new(),
        }
    }

    /// Reads `User by Email`, or `Contact by FirstName, LastName`.
    pub(super) fn short(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let object = words.next().filter(|word| is_path(word))?;
        words.next().filter(|word| word.eq_ignore_ascii_case("by"))?;
        let rest = words.collect::<Vec<_>>().join(" ");
        let keys: Vec<String> = rest.split(',').map(|key| key.trim().to_owned()).collect();
        keys.iter().all(|key| is_path(key)).then(|| AskedTable::new(object, keys, "Id"))
    }

    /// How the short form is called, so that two fields share a table.
    pub(super) fn short_name(&self) -> String {
        format!("{} by {}", self.object, self.keys.join(", "))
    }

    /// The query, for a load of this object.
    ///
    /// Without a condition, of users the active ones are looked up, because
    /// nobody else can own a new record, and of record types the active ones of
    /// the object that is loaded.
    pub fn soql(&self, loaded: &str) -> String {
        let mut fields: Vec<&str> = Vec::new();
        for field in self.keys.iter().chain([&self.value]) {
            // A field named twice is refused.
            if !fields.iter().any(|known| known.eq_ignore_ascii_case(field)) {
                fields.push(field);
            }
        }
        let condition = match &self.condition {
            // In parentheses, so that it can't be cut short by a LIMIT.
            Some(condition) => Some(format!("({condition})")),
            None if self.object.eq_ignore_ascii_case("User") => Some("IsActive = true".to_owned()),
            None if self.object.eq_ignore_ascii_case("RecordType") => {
                Some(format!("SobjectType = '{loaded}' AND IsActive = true"))
            }
            None => None,
        };
        let condition = condition.map_or(String::new(), |condition| format!(" WHERE {condition}"));
        format!("SELECT {} FROM {}{condition}", fields.join(", "), self.object)
    }
}

/// Whether a text may be the name of a field, or of one of a parent.
pub(super) fn is_path(text: &str) -> bool {
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    text.split('.').all(is_name)
}

/// What a mapping wants to know of the org.
#[derive(Debug, Clone)]
pub struct Question {
    /// Which of the mapping's tables it is.
    table: usize,
    /// Where the file asks it, for messages: `legacy.toml:7: lookups.owners`.
    pub place: String,
    /// What is asked.
    pub asked: AskedTable,
}

/// What the org answered, in the making.
#[derive(Debug)]
pub struct Answer {
    table: usize,
    asked: AskedTable,
    entries: Table,
    bytes: u64,
}

/// More was found than is held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more was found than the {} MiB that are held in memory at most", MOST_TABLE_BYTES >> 20)]
pub struct AnswerTooLarge;

impl Answer {
    /// Begins the answer to a question, with the spelling and the letter case
    /// that the org's fields have.
    pub fn new(question: &Question, asked: AskedTable, ignore_case: bool) -> Self {
        let entries = Table::empty(KeyForm { ignore_case, ids: asked.id_keys.clone() });
        Answer { table: question.table, asked, entries, bytes: 0 }
    }

    /// Adds what a record says: the values of its key fields, in order, and the
    /// one that is sent. A record with an empty key is passed over.
    ///
    /// # Errors
    /// [`AnswerTooLarge`] past 64 MiB.
    pub fn add(&mut self, keys: &[String], value: &str) -> Result<(), AnswerTooLarge> {
        let parts: Vec<&str> = keys.iter().map(|key| key.trim()).collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Ok(());
        }
        let text = parts.iter().map(|part| part.len()).sum::<usize>() + value.len();
        self.bytes += text as u64 + ENTRY_BYTES;
        if self.bytes > MOST_TABLE_BYTES {
            return Err(AnswerTooLarge);
        }
        self.entries.add(&parts, value.trim());
        Ok(())
    }

    /// Keys that were found.
    pub fn keys(&self) -> u64 {
        self.entries.keys()
    }
}

impl Mapping {
    /// What is to be asked of the org before rows can be made, in the order of
    /// the file. A lookup that no field uses is not asked.
    pub fn questions(&self) -> Vec<Question> {
        let file = self.file_name();
        let used = self.used_tables();
        let tables = self.tables.iter().zip(&self.table_lines).enumerate();
        let questions = tables.filter(|(at, _)| used.contains(at));
        questions
            .filter_map(|(table, (source, line))| match &source.entries {
                Entries::Asked(asked) if asked.sha256.is_empty() => Some(Question {
                    table,
                    place: format!("{file}:{line}: {}", source.name),
                    asked: asked.clone(),
                }),
                _ => None,
            })
            .collect()
    }

    /// Takes an answer.
    pub fn answer(&mut self, answer: Answer) {
        let Answer { table, mut asked, entries, .. } = answer;
        asked.file = format!("lookup-{}.csv", table + 1);
        asked.sha256 = entries.kept_sha256(&asked);
        if let (Some(source), Some(loaded)) =
            (self.tables.get_mut(table), self.loaded.tables.get_mut(table))
        {
            source.ignore_case = entries.ignores_case();
            source.entries = Entries::Asked(asked);
            *loaded = entries.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form_names_object_and_fields() {
        let short = AskedTable::short("User by Email").unwrap();
        assert_eq!(short.soql("Account"), "SELECT Email, Id FROM User WHERE IsActive = true");
        let short = AskedTable::short(" RecordType  BY DeveloperName").unwrap();
        assert_eq!(
            short.soql("Account"),
            "SELECT DeveloperName, Id FROM RecordType WHERE SobjectType = 'Account' AND IsActive = \
             true"
        );
        let short = AskedTable::short("Contact by FirstName, Account.Name").unwrap();
        assert_eq!(short.soql("Case"), "SELECT FirstName, Account.Name, Id FROM Contact");
        assert_eq!(short.short_name(), "Contact by FirstName, Account.Name");
        for text in
            ["owners", "User Email", "User by", "User by Email Name", "User by a,,b", "U' by b"]
        {
            assert!(AskedTable::short(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_condition_replaces_the_usual_one_and_can_not_be_left() {
        let mut asked = AskedTable::new("User", vec!["Id".to_owned()], "Id");
        asked.condition = Some("Name LIKE 'A%'".to_owned());
        assert_eq!(asked.soql("Account"), "SELECT Id FROM User WHERE (Name LIKE 'A%')");
    }
}
