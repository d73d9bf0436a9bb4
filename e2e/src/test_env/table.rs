//! Plain text tables: columns as wide as needed, long cells wrapped.

use std::fmt;

/// Rows of text under a line of headings.
#[derive(Clone, Debug, Default)]
pub struct Table {
    headings: Vec<String>,
    widest: Vec<usize>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Headings, each with the largest width of its column in characters.
    pub fn new(columns: &[(&str, usize)]) -> Self {
        let (headings, widest) =
            columns.iter().map(|(heading, width)| ((*heading).to_owned(), *width)).unzip();
        Self { headings, widest, rows: Vec::new() }
    }

    /// Adds a row; cells that are not given are empty.
    pub fn row<C: fmt::Display>(&mut self, cells: impl IntoIterator<Item = C>) {
        let mut cells: Vec<String> = cells.into_iter().map(|cell| cell.to_string()).collect();
        cells.resize(self.headings.len(), String::new());
        self.rows.push(cells);
    }

    fn widths(&self) -> Vec<usize> {
        let column = |(at, widest): (usize, &usize)| {
            let cells = self.rows.iter().map(|row| row[at].chars().count());
            let longest = cells.chain([self.headings[at].chars().count()]).max().unwrap_or(0);
            longest.min(*widest)
        };
        self.widest.iter().enumerate().map(column).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
        write_row(f, &self.headings, &widths)?;
        write_row(f, &rule, &widths)?;
        self.rows.iter().try_for_each(|row| write_row(f, row, &widths))
    }
}

fn write_row(f: &mut fmt::Formatter<'_>, cells: &[String], widths: &[usize]) -> fmt::Result {
    let cells: Vec<Vec<String>> = cells.iter().zip(widths).map(|(cell, width)| wrap(cell, *width)).collect();
    for line in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            let part = cell.get(line).map_or("", String::as_str);
            text += &format!("  {part:<width$}");
        }
        writeln!(f, "{}", text.trim_end())?;
    }
    Ok(())
}

/// Breaks `text` between words into lines of at most `width` characters; a longer word has a line of its own.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_long_cells_wrapped() {
        let mut table = Table::new(&[("pod", 20), ("share", 9)]);
        table.row(["chat-0", "25 %"]);
        table.row(["b", "one two three"]);
        let expected =
            "  pod     share\n  ──────  ─────────\n  chat-0  25 %\n  b       one two\n          three\n";
        assert_eq!(table.to_string(), expected);
    }
}
