//! How well the name of a column fits a field.

use crate::domain::{Field, FieldType, ObjectDescription, nearest};

/// Words that mean the same in exports and in Salesforce, each line led by the
/// word they become.
const SAME: [&[&str]; 24] = [
    &["name", "company", "firm", "firma", "firmenname", "organisation", "organization"],
    &["street", "address", "strasse", "straße", "str"],
    &["city", "town", "ort", "stadt"],
    &["postalcode", "zip", "zipcode", "postcode", "plz"],
    &["country", "land", "nation"],
    &["state", "province", "region", "bundesland"],
    &["phone", "telephone", "tel", "telefon", "phonenumber"],
    &["mobilephone", "mobile", "cell", "cellphone", "handy", "mobil"],
    &["fax", "telefax"],
    &["email", "mail", "emailaddress"],
    &["website", "url", "web", "homepage", "webseite"],
    &["firstname", "givenname", "vorname", "forename"],
    &["lastname", "surname", "familyname", "nachname"],
    &["numberofemployees", "employees", "headcount", "mitarbeiter", "staff"],
    &["annualrevenue", "revenue", "turnover", "umsatz", "sales"],
    &["industry", "sector", "branche"],
    &["description", "notes", "remark", "remarks", "comment", "comments", "bemerkung"],
    &["accountnumber", "customernumber", "kundennummer", "kundennr", "accountno", "customerno"],
    &["birthdate", "birthday", "dateofbirth", "dob", "geburtsdatum"],
    &["ownerid", "owner", "betreuer"],
    &["amount", "total", "betrag", "value"],
    &["type", "kind", "art"],
    &["title", "position", "jobtitle"],
    &["active", "isactive", "aktiv"],
];

/// How well a column fits a field, up to 100, and why; nothing for two that
/// have nothing in common.
pub(super) fn score(
    column: &str,
    field: &Field,
    object: &ObjectDescription,
) -> Option<(u32, String)> {
    let column = column.trim();
    let wanted = bare(column);
    if wanted.is_empty() {
        return None;
    }
    let (name, label) = (bare(&field.name), bare(&field.label));
    if column.eq_ignore_ascii_case(&field.name) {
        return Some((100, "by name".to_owned()));
    }
    if wanted == name {
        return Some((96, "by name".to_owned()));
    }
    if wanted == label {
        return Some((93, format!("by the label {}", field.label)));
    }
    // `Account` for AccountId, `Account__c` has been bare above.
    if field.field_type == FieldType::Reference && format!("{wanted}id") == name {
        return Some((80, "the column is called as the parent".to_owned()));
    }
    let own = bare(&object.name);
    let stripped = wanted.strip_prefix(&own).filter(|rest| rest.len() > 1);
    if stripped.is_some_and(|rest| rest == name || rest == label) {
        return Some((85, "by name, without that of the object".to_owned()));
    }
    let (words, meant) = (words(column), words(&field.name));
    let by_sense = sense(&wanted);
    if by_sense == sense(&name) || by_sense == sense(&label) {
        return Some((78, "another word for it".to_owned()));
    }
    let mut sorted = (words.clone(), meant.clone());
    sorted.0.sort_unstable();
    sorted.1.sort_unstable();
    if words.len() > 1 && sorted.0 == sorted.1 {
        return Some((75, "the same words in another order".to_owned()));
    }
    // An address: `City` for BillingCity.
    if let Some(rest) = name.strip_prefix("billing").or_else(|| name.strip_prefix("mailing"))
        && (rest == wanted || sense(rest) == by_sense)
    {
        return Some((74, "a part of the main address".to_owned()));
    }
    if [&field.name, &field.label]
        .into_iter()
        .any(|known| wanted.chars().count() > 3 && nearest(column, [known.as_str()]).is_some())
    {
        return Some((60, "nearly the same name".to_owned()));
    }
    let shared = words.iter().filter(|word| word.len() > 2 && meant.contains(word)).count();
    if shared > 0 && (shared == words.len() || shared == meant.len()) {
        return Some((50, "words of the name".to_owned()));
    }
    None
}

/// Letters and digits alone, small, without the suffix of custom fields.
pub(super) fn bare(name: &str) -> String {
    let name = name.to_lowercase();
    let stem = name.strip_suffix("__c").or_else(|| name.strip_suffix("__pc")).unwrap_or(&name);
    stem.chars().filter(|letter| letter.is_alphanumeric()).collect()
}

/// A word brought to the one that stands for all that mean the same.
fn sense(bare: &str) -> &str {
    SAME.iter()
        .find(|line| line.contains(&bare))
        .and_then(|line| line.first().copied())
        .unwrap_or(bare)
}

/// The words of a name, small: by signs between them and by capitals.
fn words(name: &str) -> Vec<String> {
    let name = name.strip_suffix("__c").or_else(|| name.strip_suffix("__pc")).unwrap_or(name);
    let mut words: Vec<String> = vec![String::new()];
    let mut before = ' ';
    for letter in name.chars() {
        if !letter.is_alphanumeric() || (letter.is_uppercase() && before.is_lowercase()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut()
            && letter.is_alphanumeric()
        {
            word.extend(letter.to_lowercase());
        }
        before = letter;
    }
    words.retain(|word| !word.is_empty());
    words
}
