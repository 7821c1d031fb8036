//! The command line of the comparison.

fn main() {}
