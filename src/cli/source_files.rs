//! Sources of several files in summaries: rows by file, and the file of a row.

use crate::domain::FailureGroup;
use crate::pipeline::FilePart;
use crate::report::SourceSummary;

/// The files with the rows of each that were read: those behind the first
/// `skip` rows of the source, `read` in number.
pub(super) fn summaries(files: &[FilePart], skip: u64, read: u64) -> Vec<SourceSummary> {
    let (first, last) = (skip, skip.saturating_add(read));
    let mut begin = 0;
    files
        .iter()
        .map(|file| {
            let end = file.end.unwrap_or(last).max(begin);
            let rows = end.min(last).saturating_sub(begin.max(first));
            begin = end;
            SourceSummary { path: file.path.clone(), bytes: file.bytes, rows }
        })
        .collect()
}

/// Says of which file the example of each group is.
pub(super) fn place_examples(groups: &mut [FailureGroup], files: &[FilePart]) {
    for group in groups {
        let mut begin = 0;
        for file in files {
            match file.end {
                Some(end) if end < group.example_row => begin = end,
                _ => {
                    group.example_row -= begin;
                    group.example_source = Some(file.shown.clone());
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Vec<FilePart> {
        [("a.csv", Some(10)), ("b.csv", Some(10)), ("c.csv", Some(25)), ("d.csv", None)]
            .map(|(name, end)| FilePart {
                path: name.into(),
                shown: name.to_owned(),
                bytes: 1,
                end,
            })
            .to_vec()
    }

    #[test]
    fn rows_are_counted_by_file_within_the_window() {
        let rows = |skip, read| -> Vec<u64> {
            summaries(&files(), skip, read).iter().map(|file| file.rows).collect()
        };
        assert_eq!(rows(0, 30), [10, 0, 15, 5]);
        assert_eq!(rows(5, 7), [5, 0, 2, 0]);
        assert_eq!(rows(12, 3), [0, 0, 3, 0]);
    }

    #[test]
    fn examples_are_rows_of_their_file() {
        for (row, expected) in [(10, (10, "a.csv")), (11, (1, "c.csv")), (26, (1, "d.csv"))] {
            let mut groups = [FailureGroup {
                code: "X".to_owned(),
                message: String::new(),
                count: 1,
                example_row: row,
                example_source: None,
            }];
            place_examples(&mut groups, &files());
            let [group] = &groups;
            let source = group.example_source.as_deref().unwrap();
            assert_eq!((group.example_row, source), expected);
        }
    }
}
