//! What `results.json` looks like, for others: `schema.json` is this, and a test holds the two together.

use schemars::generate::SchemaSettings;

use crate::results::Results;

/// The schema, in JSON Schema 2020-12.
pub fn text() -> String {
    let schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Results>();
    // A schema is JSON, which can be written.
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}
