//! A query as written, names unresolved. Positions are byte offsets into the
//! text, for the caret of an error.

/// Names joined by dots (`Parent.Owner.Name`) and where they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    /// The names; at least one.
    pub names: Vec<String>,
    /// Offset of the first.
    pub at: usize,
}

impl Path {
    /// As written.
    pub(crate) fn text(&self) -> String {
        self.names.join(".")
    }
}

/// What makes one value of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregate {
    /// Number of values that are there.
    Count,
    /// Number of different values.
    CountDistinct,
    /// Sum of numbers.
    Sum,
    /// Mean of numbers.
    Avg,
    /// Smallest value.
    Min,
    /// Largest value.
    Max,
}

/// A column of the SELECT list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SelectItem {
    /// A field, or a field of a parent.
    Field {
        /// Which.
        path: Path,
        /// What it is called in a grouped result.
        alias: Option<String>,
    },
    /// An aggregate of a field; without one the number of rows (`COUNT(Id)`
    /// names one, `COUNT()` stands alone).
    Aggregate {
        /// How.
        function: Aggregate,
        /// Of which field.
        path: Path,
        /// What it is called; else `expr0`, `expr1` ...
        alias: Option<String>,
    },
}

/// The SELECT clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Select {
    /// `COUNT()`: only the number of records.
    Count,
    /// A list.
    Items(Vec<SelectItem>),
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    /// `=`
    Equal,
    /// `!=` or `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `LIKE`
    Like,
}

impl Operator {
    /// As written in SOQL.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Operator::Equal => "=",
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::Like => "LIKE",
        }
    }
}

/// A value as written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    /// `null`
    Null,
    /// `true`, `false`
    Boolean(bool),
    /// A number.
    Number(f64),
    /// Text in quotes, escapes resolved.
    Text(String),
    /// A day, as days since 1970-01-01.
    Date(i32),
    /// An instant, as milliseconds since 1970-01-01T00:00Z.
    DateTime(i64),
    /// A time of day in milliseconds since midnight.
    Time(i32),
    /// A date literal such as `TODAY` or `LAST_N_DAYS:7`.
    Range(super::dates::DateLiteral),
}

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    /// All hold.
    And(Vec<Condition>),
    /// One holds at least.
    Or(Vec<Condition>),
    /// It doesn't hold.
    Not(Box<Condition>),
    /// A field against a value.
    Compare {
        /// The field.
        path: Path,
        /// How.
        operator: Operator,
        /// The value.
        literal: Literal,
    },
    /// `IN` and `NOT IN` a list.
    In {
        /// The field.
        path: Path,
        /// `NOT IN`.
        negated: bool,
        /// The values.
        list: Vec<Literal>,
    },
    /// `INCLUDES` and `EXCLUDES` of a multi-select picklist. Each entry is a
    /// set of values that have to be there together (`'A;B'`).
    Includes {
        /// The field.
        path: Path,
        /// `EXCLUDES`.
        negated: bool,
        /// The sets.
        list: Vec<Vec<String>>,
    },
}

/// One key of ORDER BY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrderBy {
    /// The field, or (in a grouped query) an alias or aggregate.
    pub key: SelectItem,
    /// `DESC`.
    pub descending: bool,
    /// Where nulls go; SOQL puts them first unless told otherwise.
    pub nulls_last: bool,
}

/// A whole query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    /// What is wanted.
    pub select: Select,
    /// Of which object.
    pub object: String,
    /// Offset of its name.
    pub object_at: usize,
    /// What records must fulfil.
    pub condition: Option<Condition>,
    /// What records are grouped by.
    pub group_by: Vec<Path>,
    /// In which order.
    pub order_by: Vec<OrderBy>,
    /// How many at most.
    pub limit: Option<u64>,
    /// How many are left out first.
    pub offset: u64,
    /// `ALL ROWS`: deleted records too.
    pub all_rows: bool,
}
