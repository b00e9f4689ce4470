//! Queries: made from an object's fields, or looked at as the user wrote them.

/// The object a query is of: the word behind the outermost FROM.
pub(super) fn object_of(soql: &str) -> Option<String> {
    word_behind(soql, "FROM").map(str::to_owned)
}

/// What is selected, as it stands between SELECT and FROM.
pub(super) fn selected(soql: &str) -> Vec<String> {
    let (Some(select), Some(from)) = (outer_word(soql, "SELECT"), outer_word(soql, "FROM")) else {
        return Vec::new();
    };
    let Some(list) = soql.get(select + "SELECT".len()..from) else { return Vec::new() };
    list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// The query that counts what another one finds; `None` where it says ORDER
/// BY, LIMIT or something else that a count can't.
pub(super) fn counting(soql: &str) -> Option<String> {
    let from = outer_word(soql, "FROM")?;
    let rest = soql.get(from..)?;
    let plain = ["ORDER", "LIMIT", "OFFSET", "GROUP", "HAVING", "FOR", "WITH"]
        .iter()
        .all(|word| outer_word(rest, word).is_none());
    plain.then(|| format!("SELECT COUNT() {rest}"))
}

/// The query with one more condition.
pub(super) fn restricted(counting: &str, condition: &str) -> String {
    match outer_word(counting, "WHERE") {
        Some(at) => {
            let (before, behind) = counting.split_at(at + "WHERE".len());
            format!("{before} ({}) AND {condition}", behind.trim())
        }
        None => format!("{} WHERE {condition}", counting.trim_end()),
    }
}

fn word_behind<'a>(soql: &'a str, word: &str) -> Option<&'a str> {
    let at = outer_word(soql, word)?;
    soql.get(at + word.len()..)?.split_whitespace().next()
}

/// Where a word stands outside of quotes and parentheses, whatever its case.
fn outer_word(soql: &str, word: &str) -> Option<usize> {
    let bytes = soql.as_bytes();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
    let (mut depth, mut quoted, mut at) = (0_u32, false, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if quoted => at += 1,
            b'\'' => quoted = !quoted,
            _ if quoted => {}
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ if depth == 0 && is_name(byte) => {
                let end =
                    bytes[at..].iter().position(|&b| !is_name(b)).map_or(bytes.len(), |n| at + n);
                if soql.get(at..end).is_some_and(|found| found.eq_ignore_ascii_case(word)) {
                    return Some(at);
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_quotes_and_parentheses_are_not_those_of_the_query() {
        let soql = "select Id, Owner.Name , From_Date__c from Account where Name = 'x from\\' y' \
                    AND Id IN (SELECT AccountId FROM Contact)";
        assert_eq!(object_of(soql).as_deref(), Some("Account"));
        assert_eq!(selected(soql), ["Id", "Owner.Name", "From_Date__c"]);
        assert_eq!(object_of("SELECT Id"), None);
        assert_eq!(object_of(""), None);
    }

    #[test]
    fn a_query_is_counted_unless_it_says_more() {
        assert_eq!(
            counting("SELECT Id FROM Account WHERE Name = 'LIMIT 5'").as_deref(),
            Some("SELECT COUNT() FROM Account WHERE Name = 'LIMIT 5'")
        );
        assert_eq!(counting("SELECT Id FROM Account LIMIT 5"), None);
        assert_eq!(counting("SELECT Id FROM Account ORDER BY Id"), None);
        assert_eq!(
            restricted("SELECT COUNT() FROM Account", "A = 1"),
            "SELECT COUNT() FROM Account WHERE A = 1"
        );
        assert_eq!(
            restricted("SELECT COUNT() FROM Account WHERE B = 1 OR C = 2", "A = 1"),
            "SELECT COUNT() FROM Account WHERE (B = 1 OR C = 2) AND A = 1"
        );
    }
}
