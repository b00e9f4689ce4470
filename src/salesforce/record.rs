//! A record as a query answers it: fields in the order of the reply, which
//! is the order of the SOQL; parents nested; `attributes` left out.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Number;

/// A value of a field in a record.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    /// Empty.
    Null,
    /// True or false.
    Boolean(bool),
    /// A number.
    Number(Number),
    /// Text of any kind: dates and ids, too.
    Text(String),
    /// A parent record, or a compound value (an address).
    Record(Record),
    /// Child records of a subquery, or a list.
    List(Vec<FieldValue>),
}

/// A record: names and values in the order of the reply.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record(pub Vec<(String, FieldValue)>);

impl Record {
    /// The value of a field, whatever the letter case of its name.
    pub fn get(&self, name: &str) -> Option<&FieldValue> {
        self.entry(name).map(|(_, value)| value)
    }

    /// The name as the org spells it, and the value, of a field.
    pub fn entry(&self, name: &str) -> Option<(&str, &FieldValue)> {
        self.0
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(own, value)| (own.as_str(), value))
    }

    /// The value at a dotted path (`Account.Owner.Name`); a parent that is
    /// null makes all below it null.
    pub fn at(&self, path: &str) -> Option<&FieldValue> {
        let (head, tail) = path.split_once('.').map_or((path, None), |(h, t)| (h, Some(t)));
        match (self.get(head)?, tail) {
            (value, None) => Some(value),
            (FieldValue::Record(parent), Some(tail)) => parent.at(tail),
            (FieldValue::Null, Some(_)) => Some(&FieldValue::Null),
            _ => None,
        }
    }

    /// Dotted paths of all values that are not records themselves.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        for (name, value) in &self.0 {
            if let FieldValue::Record(parent) = value {
                paths.extend(parent.paths().into_iter().map(|path| format!("{name}.{path}")));
            } else {
                paths.push(name.clone());
            }
        }
        paths
    }
}

impl FieldValue {
    /// The value as the text of a cell: null is empty, records and lists are
    /// JSON.
    pub fn cell(&self) -> String {
        match self {
            FieldValue::Null => String::new(),
            FieldValue::Boolean(value) => value.to_string(),
            FieldValue::Number(value) => value.to_string(),
            FieldValue::Text(value) => value.clone(),
            other => serde_json::to_string(other).unwrap_or_default(),
        }
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for FieldValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            FieldValue::Null => serializer.serialize_unit(),
            FieldValue::Boolean(value) => serializer.serialize_bool(*value),
            FieldValue::Number(value) => value.serialize(serializer),
            FieldValue::Text(value) => serializer.serialize_str(value),
            FieldValue::Record(value) => value.serialize(serializer),
            FieldValue::List(values) => serializer.collect_seq(values),
        }
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Record;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Record, A::Error> {
                read_fields(map)
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

fn read_fields<'de, A: MapAccess<'de>>(mut map: A) -> Result<Record, A::Error> {
    let mut fields = Vec::new();
    while let Some(name) = map.next_key::<String>()? {
        if name == "attributes" {
            map.next_value::<IgnoredAny>()?;
        } else {
            fields.push((name, map.next_value()?));
        }
    }
    Ok(Record(fields))
}

impl<'de> Deserialize<'de> for FieldValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;

        impl<'de> Visitor<'de> for Value {
            type Value = FieldValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's value")
            }

            fn visit_unit<E>(self) -> Result<FieldValue, E> {
                Ok(FieldValue::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<FieldValue, E> {
                Ok(FieldValue::Boolean(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<FieldValue, E> {
                Ok(FieldValue::Number(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<FieldValue, E> {
                Ok(FieldValue::Number(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<FieldValue, E> {
                Ok(Number::from_f64(value).map_or(FieldValue::Null, FieldValue::Number))
            }

            fn visit_str<E>(self, value: &str) -> Result<FieldValue, E> {
                Ok(FieldValue::Text(value.to_owned()))
            }

            fn visit_string<E>(self, value: String) -> Result<FieldValue, E> {
                Ok(FieldValue::Text(value))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<FieldValue, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(FieldValue::List(values))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FieldValue, A::Error> {
                let mut record = read_fields(map)?;
                // The envelope of a subquery is of no use to anybody.
                let children = record.entry("totalSize").is_some();
                match record.0.iter().position(|(name, _)| children && name == "records") {
                    Some(at) => Ok(record.0.swap_remove(at).1),
                    None => Ok(FieldValue::Record(record)),
                }
            }
        }

        deserializer.deserialize_any(Value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(json: &str) -> Record {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn order_is_kept_and_attributes_are_left_out() {
        let json = r#"{"attributes":{"type":"Contact"},"Name":"Zoë","Id":"003","Account":
            {"attributes":{"type":"Account"},"Name":"Acme","Owner":null},"Big":123456789012345678,
            "Rate":0.1,"Cases":{"totalSize":1,"done":true,"records":[{"attributes":{},"Id":"500"}]}}"#;
        let record = record(json);
        assert_eq!(
            serde_json::to_string(&record).unwrap(),
            r#"{"Name":"Zoë","Id":"003","Account":{"Name":"Acme","Owner":null},"Big":123456789012345678,"Rate":0.1,"Cases":[{"Id":"500"}]}"#
        );
        assert_eq!(
            record.paths(),
            ["Name", "Id", "Account.Name", "Account.Owner", "Big", "Rate", "Cases"]
        );
        assert_eq!(record.at("account.NAME").unwrap().cell(), "Acme");
        assert_eq!(record.at("Account.Owner.Name"), Some(&FieldValue::Null));
        assert_eq!(record.at("Account.Nope"), None);
        assert_eq!(record.at("Cases").unwrap().cell(), r#"[{"Id":"500"}]"#);
    }
}
