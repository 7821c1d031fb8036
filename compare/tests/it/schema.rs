//! `schema.json` is what is written.

use compare::results::Results;
use compare::schema::Schema;
use serde_json::Value;

use super::mock::Behaviour;
use super::{real, truth};

fn errors(results: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(&Schema::Results.text()).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    validator
        .iter_errors(results)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

fn json(results: &Results) -> Value {
    serde_json::to_value(results).expect("JSON")
}

#[test]
fn the_files_are_up_to_date() {
    let results = include_str!("../../schema.json");
    let rivals = include_str!("../../schema-rivals.json");
    assert_eq!(
        Schema::Results.text(),
        results,
        "cargo run -p compare -- schema > compare/schema.json"
    );
    assert_eq!(
        Schema::Rivals.text(),
        rivals,
        "cargo run -p compare -- schema rivals > compare/schema-rivals.json"
    );
}

#[tokio::test(start_paused = true)]
async fn results_of_a_mock_are_valid() {
    let results = Results {
        cells: vec![truth::measured(&Behaviour::default(), 1).await],
        ..real::empty()
    };
    assert_eq!(errors(&json(&results)), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_is_no_result_is_not_valid() {
    let mut results = json(&real::empty());
    results["cells"] = "none".into();
    assert!(!errors(&results).is_empty());
    let mut results = json(&real::empty());
    results
        .as_object_mut()
        .expect("an object")
        .remove("machine");
    assert!(!errors(&results).is_empty());
}

#[tokio::test]
async fn results_of_a_real_run_are_valid() {
    let results = real::run(vec![real::idle()]).await;
    assert_eq!(errors(&json(&results)), Vec::<String>::new());
    assert_eq!(results.cells.len(), 1, "{:?}", results.skipped);
}
