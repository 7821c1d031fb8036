//! Writes the reports of results that are already there: `cargo run -p compare --example report -- results.json FOLDER`.

use std::path::PathBuf;

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(file), Some(folder)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("give the results and the folder to write to: results.json FOLDER");
    };
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let results = serde_json::from_str(&text)
        .with_context(|| format!("{} is not results of this version", file.display()))?;
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    compare::report::write(&results, &folder)?;
    print!("{}", compare::report::terminal(&results));
    Ok(())
}
