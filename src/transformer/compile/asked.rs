//! Who asks for a field, so that problems say where a person finds it.

/// A column of the source or an entry of the mapping that names a field.
pub(super) struct Asked<'a> {
    /// The column's place in the source, where there is one.
    pub(super) at: Option<usize>,
    /// What the column is called in the plan.
    pub(super) column: &'a str,
    /// Where the field is named, in words.
    pub(super) place: String,
    /// Whether `--map` names it.
    renamed: bool,
    /// Whether a mapping file names it.
    pub(super) in_mapping: bool,
}

impl<'a> Asked<'a> {
    /// A column of the source.
    pub(super) fn column(at: usize, column: &'a str, renamed: bool) -> Self {
        let place = format!("column `{column}`");
        Asked { at: Some(at), column, place, renamed, in_mapping: false }
    }

    /// An entry of a mapping.
    pub(super) fn entry(at: Option<usize>, column: &'a str, place: String) -> Self {
        Asked { at, column, place, renamed: false, in_mapping: true }
    }

    /// How a person leaves it out.
    pub(super) fn leave_out(&self) -> String {
        if self.in_mapping {
            "take the entry out of the mapping".to_owned()
        } else {
            format!("leave it out with {}", leave_out(self.column))
        }
    }

    /// Where an unknown field is named.
    pub(super) fn unknown_place(&self, name: &str) -> String {
        if self.renamed { format!("--map '{}={name}'", self.column) } else { self.place.clone() }
    }

    /// What to do about a field that is not there, and what it may have meant.
    pub(super) fn unknown_hint(&self, near: Option<&str>) -> String {
        let column = self.column;
        let out = leave_out(column);
        match near {
            Some(near) if self.in_mapping => format!("did you mean `{near}`?"),
            None if self.in_mapping => self.leave_out(),
            Some(near) => format!("did you mean `{near}`? --map '{column}={near}', or {out}"),
            None => format!("name its field with --map '{column}=FIELD', or {out}"),
        }
    }
}

/// How a person leaves a column out.
pub(super) fn leave_out(column: &str) -> String {
    format!("--map '{column}='")
}
