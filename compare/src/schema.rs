//! What `results.json` and `rivals.json` look like, for others: `schema.json` and `schema-rivals.json` are this, and a test
//! holds them together.

use clap::ValueEnum;
use schemars::generate::SchemaSettings;

use crate::results::Results;
use crate::rivals::results::RivalsResults;

/// A format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Schema {
    /// Of `results.json`.
    #[default]
    Results,
    /// Of `rivals.json`.
    Rivals,
}

impl Schema {
    /// The schema, in JSON Schema 2020-12.
    pub fn text(self) -> String {
        let generator = SchemaSettings::draft2020_12().into_generator();
        let schema = match self {
            Self::Results => generator.into_root_schema_for::<Results>(),
            Self::Rivals => generator.into_root_schema_for::<RivalsResults>(),
        };
        // A schema is JSON, which can be written.
        let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
        text.push('\n');
        text
    }
}
