//! Columns. Owns alignment only: what is in a cell must not break a line.

/// What is between two columns.
const GAP: &str = "   ";

/// The rows, each cell but the last as wide as its column, by characters.
pub fn lines(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["A", "B"], vec!["äää", ""], vec!["b"]].map(|row| row.into_iter().map(str::to_owned).collect());
        assert_eq!(lines(&rows), ["A     B", "äää", "b"]);
        assert!(lines(&[]).is_empty());
    }
}
