//! The `describe` command: the fields of an object.

use clap::{Args, ValueEnum};

use super::org::{self, Phase, call_error};
use super::table;
use super::{CliError, Context, Exit};
use crate::domain::{Field, FieldType, ObjectDescription};
use crate::salesforce::Org;

/// Which fields are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// Every field
    All,
    /// Those an insert can't do without
    Required,
    /// Those an upsert or a lookup can find records by
    ExternalIds,
    /// Those an insert may set
    Createable,
    /// Those an update may set
    Updateable,
    /// Lookups to other records
    References,
}

/// The `describe` command.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bulkhaul describe Account --org local
  bulkhaul describe Contact --org sf:prod --fields external-ids
  bulkhaul describe Invoice__c --json > Invoice__c.json

Fields this user may not see are simply absent.")]
pub struct DescribeArgs {
    /// API name of the object
    #[arg(value_name = "OBJECT")]
    pub object: String,
    /// Show these fields only
    #[arg(long, value_enum, default_value = "all", value_name = "WHICH")]
    pub fields: Which,
}

pub(super) fn run(args: DescribeArgs, context: &Context) -> Result<Exit, CliError> {
    context.runtime()?.block_on(async {
        let connected = org::connect(context, org::reading(context)).await?;
        let described = describe(&connected.org, &args.object).await;
        connected.close().await;
        let mut object = described?;
        let all = object.fields.len();
        object.fields.retain(|field| is_wanted(field, args.fields));
        let text = if context.global.json {
            let json = serde_json::to_string_pretty(&object).unwrap_or_default();
            format!("{json}\n")
        } else {
            render(&object, all, context.stdout_is_terminal())
        };
        context.print(&text)?;
        Ok(Exit::Success)
    })
}

pub(super) async fn describe(org: &Org, name: &str) -> Result<ObjectDescription, CliError> {
    let error = match org.describe(name).await {
        Ok(object) => return Ok(object),
        Err(error) => error,
    };
    let told = call_error(&error, Phase::Preflight);
    if !error.is_not_found() {
        return Err(told);
    }
    let message = format!("there is no object `{name}` that this user may see");
    let told = CliError { code: "unknown-object", message, ..told };
    // Only to help; its own failure is of no interest.
    let objects = org.objects().await.unwrap_or_default();
    let near = nearest(name, objects.iter().map(|object| object.name.as_str()));
    Err(match near {
        Some(near) => told.hint(format!("Did you mean {near}?")),
        None => told.hint("Check the spelling; custom objects end in __c."),
    })
}

/// The name that takes the fewest changes, if they are few.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let bare = wanted.trim_end_matches("__c");
    names
        .map(|own| {
            let own_lower = own.to_lowercase();
            (changes(bare, own_lower.trim_end_matches("__c")), own)
        })
        .min()
        .filter(|(changes, _)| *changes <= 1 + bare.chars().count() / 4)
        .map(|(_, own)| own)
}

/// How many letters must be put in, left out or exchanged (Levenshtein).
fn changes(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        for (to, above) in b.iter().zip(row.iter_mut().skip(1)) {
            let exchanged = corner + usize::from(from != *to);
            corner = *above;
            left = exchanged.min(left + 1).min(*above + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

fn is_wanted(field: &Field, which: Which) -> bool {
    match which {
        Which::All => true,
        Which::Required => field.is_required_on_create(),
        Which::ExternalIds => field.is_key(),
        Which::Createable => field.createable,
        Which::Updateable => field.updateable,
        Which::References => !field.reference_to.is_empty(),
    }
}

fn render(object: &ObjectDescription, all: usize, fitted: bool) -> String {
    let can: Vec<&str> = [
        (object.createable, "insert"),
        (object.updateable, "update"),
        (object.deletable, "delete"),
        (object.queryable, "query"),
    ]
    .into_iter()
    .filter_map(|(can, word)| can.then_some(word))
    .collect();
    let can = if can.is_empty() { "nothing".to_owned() } else { can.join(", ") };
    let header = ["Field", "Type", "Required", "Key", "Insert", "Update", "References"];
    let mut table = table::new(&header, fitted);
    let yes = |is: bool| if is { "yes" } else { "" };
    for field in &object.fields {
        table.add_row([
            table::harmless(&field.name),
            type_text(field),
            yes(field.is_required_on_create()).to_owned(),
            key_text(field),
            yes(field.createable).to_owned(),
            yes(field.updateable).to_owned(),
            references_text(field),
        ]);
    }
    let count = match object.fields.len() {
        1 if all == 1 => "1 field".to_owned(),
        shown if shown == all => format!("{all} fields"),
        shown => format!("{shown} of {all} fields"),
    };
    let prefix = object.key_prefix.as_deref().unwrap_or("no ids of its own");
    let label = table::harmless(&object.label);
    let table = table.trim_fmt();
    format!("{} ({label}, {prefix}): {count}; allowed: {can}\n{table}\n", object.name)
}

/// The type with its length or its digits, as people write it.
fn type_text(field: &Field) -> String {
    let name = match field.field_type {
        FieldType::Other => "other".to_owned(),
        known => serde_json::to_value(known)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default(),
    };
    let size = match field.field_type {
        FieldType::Double | FieldType::Currency | FieldType::Percent if field.precision > 0 => {
            format!("({},{})", field.precision, field.scale)
        }
        FieldType::Int | FieldType::Long if field.digits > 0 => format!("({})", field.digits),
        FieldType::Picklist | FieldType::MultiPicklist if field.restricted_picklist => {
            " restricted".to_owned()
        }
        FieldType::Picklist | FieldType::MultiPicklist | FieldType::Reference | FieldType::Id => {
            String::new()
        }
        _ if field.length > 0 => format!("({})", field.length),
        _ => String::new(),
    };
    let made = if field.calculated {
        " formula"
    } else if field.auto_number {
        " auto number"
    } else {
        ""
    };
    format!("{name}{size}{made}")
}

fn key_text(field: &Field) -> String {
    let mut words = Vec::new();
    if field.external_id {
        words.push("external id");
    } else if field.id_lookup {
        words.push("lookup");
    }
    if field.unique {
        words.push("unique");
    }
    if field.case_sensitive && field.is_key() {
        words.push("case sensitive");
    }
    words.join(", ")
}

/// Objects pointed at, and the relationship's name where columns like
/// `Account.Legacy_Id__c` need it.
fn references_text(field: &Field) -> String {
    use std::fmt::Write as _;
    const SHOWN: usize = 4;
    let mut text = field.reference_to.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if field.reference_to.len() > SHOWN {
        let _ = write!(text, " and {} more", field.reference_to.len() - SHOWN);
    }
    match &field.relationship_name {
        Some(name) if !text.is_empty() => format!("{text} as {name}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> ObjectDescription {
        serde_json::from_str(
            r#"{"name":"Contact","label":"Contact","keyPrefix":"003","createable":true,"queryable":true,
            "fields":[
              {"name":"Id","type":"id","length":18,"idLookup":true},
              {"name":"LastName","type":"string","length":80,"createable":true,"updateable":true},
              {"name":"AccountId","type":"reference","length":18,"nillable":true,"createable":true,
               "updateable":true,"referenceTo":["Account"],"relationshipName":"Account"},
              {"name":"Rate__c","type":"currency","precision":18,"scale":2,"nillable":true},
              {"name":"Code__c","type":"string","length":20,"nillable":true,"createable":true,
               "externalId":true,"unique":true,"idLookup":true,"caseSensitive":true},
              {"name":"Stage__c","type":"picklist","length":255,"restrictedPicklist":true,"nillable":true}
            ]}"#,
        )
        .unwrap()
    }

    #[test]
    fn the_table_says_what_a_loader_wants_to_know() {
        let object = object();
        insta::assert_snapshot!(render(&object, 9, false), @"
        Contact (Contact, 003): 6 of 9 fields; allowed: insert, query
        Field       Type                  Required   Key                                   Insert   Update   References
        ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
        Id          id                               lookup
        LastName    string(80)            yes                                              yes      yes
        AccountId   reference                                                              yes      yes      Account as Account
        Rate__c     currency(18,2)
        Code__c     string(20)                       external id, unique, case sensitive   yes
        Stage__c    picklist restricted
        ");
    }

    #[test]
    fn fields_can_be_picked() {
        let names = |which| -> Vec<String> {
            let fields = object().fields;
            fields.into_iter().filter(|f| is_wanted(f, which)).map(|f| f.name).collect()
        };
        assert_eq!(names(Which::Required), ["LastName"]);
        assert_eq!(names(Which::ExternalIds), ["Id", "Code__c"]);
        assert_eq!(names(Which::References), ["AccountId"]);
        assert_eq!(names(Which::All).len(), 6);
    }

    #[test]
    fn a_near_name_is_proposed() {
        let names = ["Account", "Contact", "AccountTeamMember", "Invoice__c"];
        let near = |name| nearest(name, names.into_iter());
        assert_eq!(near("Acount"), Some("Account"));
        assert_eq!(near("accounts"), Some("Account"));
        assert_eq!(near("Invoice"), Some("Invoice__c"));
        assert_eq!(near("Zebra"), None);
        assert_eq!(changes("kitten", "sitting"), 3);
        assert_eq!(changes("", "abc"), 3);
    }
}
