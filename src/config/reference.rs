//! The reference of all settings, generated from their documentation: a table in Markdown, and a file in TOML.

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

/// How wide the comments of the file are.
const LINE_CHARS: usize = 110;

/// A configuration file in which every key stands with its meaning and its default, commented out.
pub fn toml() -> String {
    let mut file = String::from(
        "# Every setting with its default. Take the # away from what you change, and from its [section].\n\
         # Relative paths begin at the working directory of the process, and not at this file.\n",
    );
    let mut section = "";
    for key in Config::keys() {
        // A path has a section.
        let (of, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        if of != section {
            section = of;
            file.push_str(&format!("\n#[{section}]\n"));
        }
        file.push('\n');
        push_comment(&mut file, key.doc.trim());
        // Without a default a key shows none.
        match default_of(key.path) {
            Some(value) => file.push_str(&format!("#{name} = {value}\n")),
            None => file.push_str(&format!("#{name} =\n")),
        }
    }
    file
}

fn push_comment(file: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > LINE_CHARS {
            file.push_str(&line);
            file.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    file.push_str(&line);
    file.push('\n');
}
