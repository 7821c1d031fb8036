//! The reference of all settings, as a Markdown table generated from their documentation.

use super::Config;
use super::load::default_of;

/// The table: key, default, meaning.
pub fn markdown() -> String {
    let mut table = String::from("| key | default | meaning |\n|---|---|---|\n");
    for key in Config::keys() {
        let default = default_of(key.path)
            .map(|value| value.to_string())
            .unwrap_or_default();
        table.push_str(&format!(
            "| `{}` | `{default}` | {} |\n",
            key.path,
            key.doc.trim()
        ));
    }
    table
}
