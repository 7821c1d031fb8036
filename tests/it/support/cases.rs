//! Random cases from one seed: a failure prints the seed and the smallest case that still fails.

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Runs a test on random cases, `PROPTEST_CASES` of them or as many as asked for. It fails by panicking.
pub fn check<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value)) {
    let seed = super::seed();
    let config = Config {
        cases: asked("PROPTEST_CASES").unwrap_or(cases),
        max_shrink_iters: asked("PROPTEST_MAX_SHRINK_ITERS").unwrap_or(20_000),
        // The seed says it all; a file of old failures would be one more thing to keep.
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let run = TestRunner::new_with_rng(config, rng).run(strategy, |case| {
        test(case);
        Ok(())
    });
    if let Err(failure) = run {
        panic!("with EVERYWAY_SEED={seed}: {failure}");
    }
}

fn asked(variable: &str) -> Option<u32> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("it is a number"))
}
