//! What the three reports say in the same words: warnings, verdicts, expectations, the run itself.

use crate::condition::{Choice, Condition};
use crate::metric::Metric;
use crate::report::text;
use crate::results::{CellResult, Expectation, Results};
use crate::verdict::{Answer, Contender, RunnerUp, Verdict};

/// How a cell's figures come about, for whoever reads a table of them.
pub const FIGURES: &str = "Figures are medians of the repeats, with the smallest and the largest below. Latency counts from the moment \
     at which a message was to be sent, so a late sender hides nothing. Bytes are counted below TLS, for each delivered \
     message, connections and requests included. Idle traffic and wake-ups are those of a client to whom nothing is sent.";

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
            counted(cells, "cell")
        )
    })
}

/// So many of something.
pub fn counted(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", text::count(count as u64))
}

/// What a verdict recommends, in a word or two.
pub fn pick(verdict: &Verdict) -> String {
    match (&verdict.answer, verdict.contenders.first()) {
        (
            Answer::Take {
                runner_up: Some(second),
            },
            Some(first),
        ) if second.level => {
            format!(
                "{} or {}",
                text::choice(&first.choice),
                text::choice(&second.choice)
            )
        }
        (Answer::Take { .. }, Some(first)) => text::choice(&first.choice),
        (Answer::Nobody, _) => "none".to_owned(),
        (Answer::CannotSay(_), _) | (_, None) => "cannot say".to_owned(),
    }
}

/// Why: who came second and by how much, or what is missing.
pub fn lead(verdict: &Verdict) -> String {
    match &verdict.answer {
        Answer::Take {
            runner_up:
                Some(RunnerUp {
                    choice,
                    ratio,
                    level,
                }),
        } => {
            let ending = if *level { ": level" } else { "" };
            format!(
                "then {} at {} × the cost{ending}",
                text::choice(choice),
                text::number(*ratio)
            )
        }
        Answer::Take { runner_up: None } => "no other holds what must hold".to_owned(),
        Answer::Nobody => "none that was measured holds what must hold".to_owned(),
        Answer::CannotSay(why) => why.clone(),
    }
}

/// The figures that decided about a contender.
pub fn deciding(contender: &Contender) -> String {
    let figures: Vec<String> = contender
        .figures
        .iter()
        .map(|(metric, figure)| {
            format!(
                "{} {}",
                metric.name(),
                text::with_unit(*metric, figure.median)
            )
        })
        .collect();
    figures.join(", ")
}

/// The name and the values of an expectation: `p50 latency`, `100 ms to 110 ms`, `103 ms`.
pub fn expectation(expectation: &Expectation) -> (String, String, String) {
    let metric = Metric::by_field(&expectation.figure);
    let name = metric.map_or_else(
        || expectation.figure.replace('_', " "),
        |metric| metric.name().to_owned(),
    );
    let value = |value: f64| {
        metric.map_or_else(
            || text::number(value),
            |metric| text::with_unit(metric, value),
        )
    };
    let (from, to) = (value(expectation.from), value(expectation.to));
    let range = if from == to {
        from
    } else {
        format!("{from} to {to}")
    };
    (name, range, value(expectation.measured))
}

/// Every warning of every cell with the cell's name and whether it makes it invalid, the latter first.
pub fn warnings(results: &Results) -> Vec<(String, &str, &str, bool)> {
    let mut all: Vec<_> = results
        .cells
        .iter()
        .flat_map(|cell| {
            let of_cell =
                move |warning: &'_ crate::results::Warning| (cell_name(cell), warning.invalidates);
            cell.warnings.iter().map(move |warning| {
                let (name, invalidates) = of_cell(warning);
                (
                    name,
                    warning.code.as_str(),
                    warning.message.as_str(),
                    invalidates,
                )
            })
        })
        .collect();
    all.sort_by_key(|(.., invalidates)| !invalidates);
    all
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
    vec![
        ("begun", results.started_at.clone()),
        ("took", text::seconds(results.took_s)),
        ("command", results.command.clone()),
        (
            "machine",
            format!(
                "{}, {}, {} GiB",
                machine.processor,
                counted(machine.cores, "core"),
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
                "{} of each cell, interleaved; each with {} of load after {} that do not count",
                method.repeats,
                text::seconds(method.measure_s),
                text::seconds(method.warm_up_s)
            ),
        ),
        ("seed", method.seed.to_string()),
    ]
}

/// How a verdict comes about.
pub const RULE: &str = "Each case takes the cells that are nearest to it among those that fit. A transport that does not hold \
     what must hold is out. The others have a cost: each weighed figure, divided by the least of them, to the power of its \
     share of the weights, multiplied; best at everything is 1. The least cost is taken. A transport within 10 %, or whose \
     cost by the smallest figures of its repeats is not above the first one's by the largest, is level with it. Cells that \
     are invalid count for nothing.";
