//! The keys a mapping file may have, in the order in which they are listed for
//! people. docs/mapping.schema.json says the same; a test compares them.

/// At the top.
pub const TOP: &[&str] =
    &["unmapped", "secret_env", "defaults", "fields", "filter", "maps", "lookups"];

/// In `[defaults]`.
pub const DEFAULTS: &[&str] = &[
    "trim",
    "collapse",
    "strip",
    "empty",
    "empty_words",
    "truncate",
    "decimal",
    "grouping",
    "timezone",
    "two_digit_years_from",
];

/// In a field's table.
pub const FIELD: &[&str] = &[
    "column",
    "constant",
    "template",
    "columns",
    "join",
    "strip",
    "trim",
    "collapse",
    "empty_words",
    "replace",
    "substring",
    "split",
    "piece",
    "map",
    "else",
    "lookup",
    "missing",
    "ambiguous",
    "case",
    "number",
    "date",
    "datetime",
    "boolean",
    "long_id",
    "mask",
    "hash",
    "truncate",
    "default",
    "empty",
];

/// In an entry of `replace`.
pub const REPLACE: &[&str] = &["pattern", "with"];

/// In `substring`.
pub const SUBSTRING: &[&str] = &["start", "length"];

/// In `number`.
pub const NUMBER: &[&str] =
    &["decimal", "grouping", "currency", "parentheses", "scale", "rounding"];

/// In `date`.
pub const DATE: &[&str] = &["formats", "two_digit_years_from"];

/// In `datetime`.
pub const DATETIME: &[&str] = &["formats", "timezone", "gap", "overlap", "two_digit_years_from"];

/// In `boolean`.
pub const BOOLEAN: &[&str] = &["true", "false"];

/// In `hash`.
pub const HASH: &[&str] = &["length"];

/// In `else`, `missing` and `ambiguous`.
pub const OTHERWISE: &[&str] = &["value"];

/// In `[maps.NAME]`.
pub const MAP: &[&str] = &["values", "file", "from", "to", "delimiter", "encoding", "ignore_case"];

/// In `[lookups.NAME]`.
pub const LOOKUP: &[&str] =
    &["file", "key", "value", "delimiter", "encoding", "object", "by", "where", "ignore_case"];

/// In `[filter]`.
pub const FILTER: &[&str] = &["all", "any"];

/// In a condition.
pub const CONDITION: &[&str] =
    &["column", "is", "is_not", "matches", "matches_not", "empty", "ignore_case"];

/// Words of `unmapped`.
pub const UNMAPPED: &[&str] = &["leave-out", "send", "refuse"];

/// Words of `empty`.
pub const EMPTY: &[&str] = &["skip", "clear", "default", "reject"];

/// Words of `strip`.
pub const STRIP: &[&str] = &["html", "control"];

/// Words of `case`.
pub const CASE: &[&str] = &["upper", "lower", "title"];

/// Words of `mask`.
pub const MASK: &[&str] = &["name", "text", "phone", "email"];

/// Words of `rounding`.
pub const ROUNDING: &[&str] = &["half-up", "half-even", "down", "reject"];

/// Words of `gap` and `overlap`.
pub const FOLD: &[&str] = &["reject", "earlier", "later"];

/// Words of `else`.
pub const ELSE: &[&str] = &["reject", "keep", "null"];

/// Words of `missing` and `ambiguous`.
pub const MISSING: &[&str] = &["reject", "null"];

/// Signs of `decimal`.
pub const DECIMAL: &[&str] = &[".", ","];

/// Signs of `grouping`.
pub const GROUPING: &[&str] = &[".", ",", "'", " "];
