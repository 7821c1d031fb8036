//! What the three reports say in the same words: warnings, expectations, the run itself.

use crate::condition::{Choice, Condition};
use crate::metric::Metric;
use crate::report::summary::Summary;
use crate::results::{CellResult, Expectation, Results};
use crate::serve::SETTINGS;
use crate::text;

/// How a cell's figures come about, for whoever reads a table of them.
pub const FIGURES: &str = "Figures are medians of the repeats, with the smallest and the largest below. Latency counts from the moment \
     at which a message was to be sent, so a late sender hides nothing. Bytes are counted below TLS, for each delivered \
     message and with its requests; those of handshakes are given for each connection, for what falls on a message depends \
     on how long a run is. Packets are counted and not captured: each write and each read, in pieces of 1,448 bytes, without \
     bare acknowledgements. A wake-up is traffic after 100 ms without any: from 20 messages a second on, or with short polls that close \
     together, a client is always awake, and has no figure. Idle traffic and wake-ups are those of a client to whom nothing is \
     sent.";

/// A cell by name: `WebSocket, HTTP/1.1, 10/s, 32 B, 1 subscriber, loopback`.
pub fn cell_name(cell: &CellResult) -> String {
    let choice = text::choice(&Choice::of(&cell.cell));
    format!("{choice}, {}", text::condition(&Condition::of(&cell.cell)))
}

/// A line on how much of the plan is in the report, if not all of it.
pub fn partial(results: &Results) -> Option<String> {
    let cells = results.cells.len();
    (!results.complete).then(|| {
        format!(
            "The run was interrupted, or is not over: this is a part of it, {}.",
            text::counted(cells, "cell")
        )
    })
}

/// Why there is no verdict at all, if no cell has the percentile that every case wants.
pub fn no_verdict(results: &Results) -> Option<String> {
    let has_tail = |cell: &CellResult| cell.is_valid() && Metric::P99.of(cell).is_some();
    if results.cells.is_empty() || results.cells.iter().any(has_tail) {
        return None;
    }
    let why = "every case wants a p99, which takes 20 different messages and 100 deliveries";
    Some(match results.complete {
        true => format!(
            "No case is judged: {why}, and no valid cell has as many. A higher --rate, more --subscribers or a run without \
             --quick give them."
        ),
        false => format!("No case is judged: {why}, and no valid cell has as many so far."),
    })
}

/// The name and the values of an expectation: `p50 latency`, `100 ms to 110 ms`, `103 ms`.
pub fn expectation(expectation: &Expectation) -> (String, String, String) {
    let field = expectation.figure.as_str();
    let metric = Metric::by_field(field);
    let name = metric.map_or_else(
        || field.replace(['_', '.'], " "),
        |metric| metric.name().to_owned(),
    );
    let value = |value: f64| text::of_figure(field, value);
    let (from, to) = (value(expectation.from), value(expectation.to));
    let range = if from == to {
        from
    } else {
        format!("{from} to {to}")
    };
    (name, range, value(expectation.measured))
}

/// How many figures are not where arithmetic puts them, and of how many; nothing if none was expected anywhere.
pub fn differing(results: &Results) -> Option<(usize, usize)> {
    let all = || results.cells.iter().flat_map(|cell| &cell.expected);
    let differing = all().filter(|expected| expected.differs).count();
    let count = all().count();
    (count > 0).then_some((differing, count))
}

/// Warnings of one kind.
#[derive(Debug, Clone)]
pub struct Warnings<'a> {
    /// Its short name.
    pub code: &'a str,
    /// Whether they make their cells invalid.
    pub invalidates: bool,
    /// Each cell's name with what is said of it.
    pub cells: Vec<(String, &'a str)>,
}

impl Warnings<'_> {
    /// Its name in words: `wide spread`.
    pub fn name(&self) -> String {
        self.code.replace('_', " ")
    }

    /// What they do to their cells, in a word.
    pub fn effect(&self) -> &'static str {
        if self.invalidates {
            "invalid"
        } else {
            "warning"
        }
    }
}

/// A text that stands for itself: with a capital letter, and a full stop if nothing else ends it.
pub fn sentence(text: &str) -> String {
    let mut letters = text.trim().chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    let mut sentence: String = first.chain(letters).collect();
    if !sentence.is_empty() && !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

/// Every warning of every cell by kind, those that make cells invalid first.
pub fn warnings(results: &Results) -> Vec<Warnings<'_>> {
    let mut kinds: Vec<Warnings> = Vec::new();
    for cell in &results.cells {
        for warning in &cell.warnings {
            let said = (cell_name(cell), warning.message.as_str());
            let is_same = |kind: &&mut Warnings| {
                (kind.code, kind.invalidates) == (&warning.code, warning.invalidates)
            };
            match kinds.iter_mut().find(is_same) {
                Some(kind) => kind.cells.push(said),
                None => kinds.push(Warnings {
                    code: &warning.code,
                    invalidates: warning.invalidates,
                    cells: vec![said],
                }),
            }
        }
    }
    kinds.sort_by_key(|kind| !kind.invalidates);
    kinds
}

/// What was delivered of what was expected, if it was not all of it, once and in order.
pub fn amiss(cell: &CellResult) -> Option<String> {
    let deliveries = &cell.deliveries;
    let counts = [
        (deliveries.lost, "lost"),
        (deliveries.repeated, "repeated"),
        (deliveries.out_of_order, "out of order"),
        (deliveries.corrupted, "corrupted"),
    ];
    let said: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", text::count(*count)))
        .collect();
    (!said.is_empty()).then(|| said.join(", "))
}

/// Who is best at what: what a reader in a hurry takes home. Nothing if one of these figures is missing, or there is nobody to
/// compare with.
pub fn in_short(summary: &Summary) -> Option<String> {
    let wanted = [
        (Metric::P50, "Soonest by p50", ""),
        (Metric::Bytes, "Fewest bytes for a message", ""),
        (Metric::IdleBytes, "Fewest bytes while waiting", " an hour"),
        (Metric::Cpu, "Least CPU of the server for a message", ""),
    ];
    let said: Option<Vec<String>> = wanted
        .into_iter()
        .map(|(metric, what, per)| {
            let best = summary.best(metric)?;
            let names: Vec<String> = best
                .iter()
                .map(|(choice, _)| text::choice(choice))
                .collect();
            let values: Vec<String> = best
                .iter()
                .map(|(_, value)| format!("{}{per}", text::with_unit(metric, *value)))
                .collect();
            let level = if best.len() > 1 { " are level" } else { "" };
            let (names, values) = (text::list(&names, "and"), values.join(", "));
            Some(format!("{what}: {names}{level} ({values})."))
        })
        .collect();
    Some(said?.join(" "))
}

/// The facts of the run, by name.
pub fn facts(results: &Results) -> Vec<(&'static str, String)> {
    let machine = &results.machine;
    let method = &results.method;
    let address = results
        .gateway
        .url
        .as_deref()
        .unwrap_or("started by this run, in a process of its own");
    let watched = if results.gateway.watched {
        ""
    } else {
        "; its CPU time and memory could not be watched"
    };
    // Of a gateway elsewhere they are not known.
    let settings = match results.gateway.url {
        None => SETTINGS
            .map(|(key, value)| format!("{key} = {value}"))
            .join(", ")
            .into(),
        Some(_) => None,
    };
    let mut facts = vec![
        ("begun", results.started_at.clone()),
        ("took", text::seconds(results.took_s)),
        ("command", results.command.clone()),
        (
            "machine",
            format!(
                "{}, {}, {} GiB",
                machine.processor,
                text::counted(machine.cores, "core"),
                text::number(machine.memory_gib)
            ),
        ),
        ("kernel", machine.kernel.clone()),
        ("placement", machine.placement.clone()),
        (
            "gateway",
            format!("{} ({address}{watched})", results.gateway.server),
        ),
        (
            "repeats",
            format!(
                "up to {} of each cell, interleaved; each with {} of load, or what its cell says, after at least {} that do \
                 not count",
                method.repeats,
                text::seconds(method.measure_s),
                text::seconds(method.warm_up_s)
            ),
        ),
        ("seed", method.seed.to_string()),
    ];
    facts.extend(
        settings.map(|settings: String| ("settings", format!("{settings}; else as by default"))),
    );
    facts
}
