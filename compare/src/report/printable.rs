//! Results whose texts can be shown anywhere.

use crate::results::Results;

/// The same results, with spaces for control characters in every text: they would speak to a terminal, end lines of a
/// Markdown table, and have no place in a page. Texts come from the command line, the kernel and the server.
pub fn printable(results: &Results) -> Results {
    let mut results = results.clone();
    let machine = &mut results.machine;
    let run = [
        &mut results.started_at,
        &mut results.command,
        &mut machine.processor,
        &mut machine.kernel,
        &mut machine.placement,
        &mut results.gateway.server,
    ];
    run.into_iter().for_each(clean);
    results.gateway.url.iter_mut().for_each(clean);
    results.warnings.iter_mut().for_each(clean);
    for skipped in &mut results.skipped {
        clean(&mut skipped.what);
        clean(&mut skipped.why);
    }
    for cell in &mut results.cells {
        for warning in &mut cell.warnings {
            clean(&mut warning.code);
            clean(&mut warning.message);
        }
        for expected in &mut cell.expected {
            clean(&mut expected.figure);
            clean(&mut expected.why);
        }
    }
    results
}

fn clean(text: &mut String) {
    if text.contains(char::is_control) {
        *text = text.replace(char::is_control, " ");
    }
}
