//! The name that was probably meant.

use super::{Field, ObjectDescription};

/// The candidate nearest to a word by edit distance, letter case and the
/// suffixes of custom names left aside; none if even that is far off.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = bare(word);
    let limit = (word.chars().count() / 3).max(2);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &bare(candidate)), candidate))
        .filter(|&(distance, candidate)| {
            // Two letters can turn any short name into any other.
            distance <= limit && distance < bare(candidate).chars().count()
        })
        .min_by_key(|&(distance, candidate)| (distance, candidate.len()))
        .map(|(_, candidate)| candidate)
}

/// The field that a column name probably stands for: by its label, else the
/// nearest by name. Only fields that `fits` lets pass.
pub fn nearest_field<'a>(
    object: &'a ObjectDescription,
    word: &str,
    fits: impl Fn(&Field) -> bool,
) -> Option<&'a str> {
    let fields = || object.fields.iter().filter(|field| fits(field));
    let wanted = bare(word);
    fields()
        .find(|field| bare(&field.label) == wanted)
        .map(|field| field.name.as_str())
        .or_else(|| nearest(word, fields().map(|field| field.name.as_str())))
}

/// Lower case letters and digits alone, without `__c` and the like.
fn bare(name: &str) -> String {
    let name = name.to_lowercase();
    let stem = ["__c", "__r", "__pc"]
        .into_iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .unwrap_or(&name);
    stem.chars().filter(|letter| letter.is_alphanumeric()).collect()
}

/// How many letters must be put in, taken out, changed or swapped with their
/// neighbour to make one word into the other.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().collect();
    let other: Vec<char> = other.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, &left) in one.iter().enumerate() {
        let mut row = Vec::with_capacity(other.len() + 1);
        row.push(i + 1);
        for (j, &right) in other.iter().enumerate() {
            let mut least =
                (last[j] + usize::from(left != right)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && left == other[j - 1] && one[i - 1] == right {
                least = least.min(before_last[j - 1] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapped_missing_and_wrong_letters_cost_one_each() {
        assert_eq!(distance("name", "nmae"), 1);
        assert_eq!(distance("name", "nme"), 1);
        assert_eq!(distance("name", "fame"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn the_nearest_name_is_found_and_nothing_far_off() {
        let names = ["Name", "Phone", "Legacy_Id__c", "BillingCity"];
        assert_eq!(nearest("Nmae", names), Some("Name"));
        assert_eq!(nearest("legacy id", names), Some("Legacy_Id__c"));
        assert_eq!(nearest("Billing City", names), Some("BillingCity"));
        assert_eq!(nearest("Turnover", names), None);
        assert_eq!(nearest("X", ["Id", "AB"]), None);
    }
}
