//! Markdown tables, aligned so that they can be read in a terminal.

use std::fmt;

/// A table.
#[derive(Clone, Debug)]
pub struct Markdown(Vec<Vec<String>>);

impl Markdown {
    /// With these headings.
    pub fn new<C: fmt::Display>(headings: impl IntoIterator<Item = C>) -> Self {
        let mut table = Self(Vec::new());
        table.row(headings);
        table
    }

    /// Adds a row, with as many cells as there are headings.
    pub fn row<C: fmt::Display>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.0.push(cells.into_iter().map(|cell| cell.to_string()).collect());
    }
}

impl fmt::Display for Markdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.0.first().map_or(0, Vec::len);
        let width =
            |at: usize| self.0.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
        for (number, row) in self.0.iter().enumerate() {
            for (cell, width) in row.iter().zip(&widths) {
                write!(f, "| {cell:width$} ")?;
            }
            writeln!(f, "|")?;
            if number == 0 {
                widths.iter().try_for_each(|width| write!(f, "|{}", "-".repeat(width + 2)))?;
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest() {
        let mut table = Markdown::new(["row", "µs"]);
        table.row(["short", "1"]);
        assert_eq!(table.to_string(), "| row   | µs |\n|-------|----|\n| short | 1  |\n");
    }
}
