//! How it was measured, where, and by which rules the verdict comes about.

use maud::{Markup, html};

use crate::report::{notes, reasons};
use crate::results::Results;
use crate::verdict::case::CASES;

/// The last section.
pub fn method(results: &Results) -> Markup {
    html! {
        section id="method" {
            h2 { "Method" }
            p { (notes::FIGURES) " Every message is checked: its number, its channel, its payload." }
            dl {
                @for (name, value) in notes::facts(results) {
                    dt { (name) }
                    dd { @if name == "command" { code { (value) } } @else { (value) } }
                }
            }
            h3 id="rules" { "How the verdict comes about" }
            p { (reasons::RULE) }
            dl {
                @for case in &CASES {
                    dt { (case.name) }
                    dd {
                        "Cells: " (case.setting.in_words()) "; best " (case.setting.best_in_words()) ". " (case.rule())
                    }
                }
            }
        }
    }
}
