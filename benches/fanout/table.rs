//! Numbers with their spread, and tables of them.

use std::fmt;

/// A table that is printed when it is complete.
pub struct Table {
    title: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(title: &str, header: &[&str]) -> Self {
        Self {
            title: title.to_owned(),
            header: header.iter().map(|&name| name.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    /// Prints it: the first column to the left, numbers to the right.
    pub fn print(&self) {
        println!("\n{}\n", self.title);
        let lines = || std::iter::once(&self.header).chain(&self.rows);
        let width = |column: usize| lines().map(|line| line[column].chars().count()).max();
        let widths: Vec<usize> = (0..self.header.len()).filter_map(width).collect();
        for line in lines() {
            for (i, (cell, width)) in line.iter().zip(&widths).enumerate() {
                if i == 0 {
                    print!("{cell:<width$}");
                } else {
                    print!("  {cell:>width$}");
                }
            }
            println!();
        }
    }
}

/// The middle of several measurements, and how far they lie apart.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    /// The median.
    pub median: f64,
    low: f64,
    high: f64,
}

impl Spread {
    /// Of at least one measurement.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            median: values[values.len() / 2],
            low: values[0],
            high: values[values.len() - 1],
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.median < 20.0 { 2 } else { 0 };
        let Self { median, low, high } = self;
        write!(f, "{median:.digits$} ({low:.digits$}–{high:.digits$})")
    }
}
