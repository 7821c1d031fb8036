//! What a token says, read so that nothing in it counts twice.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// The claims of a token. One that stands there twice refuses all of them (RFC 7519, section 4): whoever checks the one and
/// uses the other is fooled.
#[derive(Debug)]
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    /// A claim, if it is there and not null.
    pub fn get(&self, claim: &str) -> Option<&Value> {
        self.0.get(claim).filter(|value| !value.is_null())
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Once)
    }
}

/// Reads an object whose names are all different.
struct Once;

impl<'de> Visitor<'de> for Once {
    type Value = Claims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Claims, A::Error> {
        let mut claims = Map::new();
        while let Some((name, value)) = entries.next_entry::<String, Value>()? {
            if claims.insert(name, value).is_some() {
                return Err(A::Error::custom("a claim stands there twice"));
            }
        }
        Ok(Claims(claims))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_different_and_null_is_absent() {
        let claims: Claims = serde_json::from_str(r#"{"a":1,"b":null,"c":{"d":1}}"#).unwrap();
        assert_eq!(claims.get("a"), Some(&Value::from(1)));
        assert_eq!(claims.get("b"), None);
        for bad in [r#"{"a":1,"a":1}"#, r#"{"a":null,"\u0061":2}"#, "[]", "1"] {
            assert!(serde_json::from_str::<Claims>(bad).is_err(), "{bad}");
        }
    }
}
