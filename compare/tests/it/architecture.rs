//! The clients know nothing of the gateway's code: only a file called `serve.rs` imports it, to be the gateway.

use std::fs;
use std::path::Path;

fn sources(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn only_who_serves_imports_the_gateway() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let imports = |path: &Path| {
        let text = fs::read_to_string(path).expect("a source");
        let mut code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        code.any(|line| line.contains("everyway::"))
    };
    let importing: Vec<_> = files.iter().filter(|path| imports(path)).collect();
    assert!(
        importing.contains(&&src.join("serve.rs")),
        "the check sees an import"
    );
    let others: Vec<_> = importing
        .iter()
        .filter(|path| !path.ends_with("serve.rs"))
        .collect();
    assert!(others.is_empty(), "these import the gateway: {others:?}");
}
