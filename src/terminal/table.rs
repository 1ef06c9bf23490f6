//! Tables without borders.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use unicode_width::UnicodeWidthStr as _;

use super::width::wrap_words;

/// The space around the content of a column.
const PADDING: usize = 2;
/// The fewest columns of the terminal for sentences and other text of several words; an id fits into them.
const MIN_TEXT: usize = 20;

/// An empty table with the style of every table here: columns apart by spaces, no lines.
pub(crate) fn new_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

/// A table in at most this many columns of the terminal. Texts of several words are wrapped if that is enough;
/// otherwise each row is printed as a list, because ids, numbers and times are never split.
pub(crate) fn fitted_table(header: &[String], rows: &[Vec<String>], columns: Option<usize>) -> String {
    let widths: Vec<Width> = (0..header.len()).map(|at| Width::of(header, rows, at)).collect();
    let sum = |of: fn(&Width) -> usize| widths.iter().map(|width| of(width) + PADDING).sum::<usize>();
    let mut table = new_table();
    table.set_header(header);
    table.add_rows(rows);
    match columns {
        Some(columns) if columns < sum(|width| width.least) => return as_lists(header, rows, columns),
        Some(columns) if columns < sum(|width| width.full) => {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(u16::try_from(columns).unwrap_or(u16::MAX));
            for (column, width) in table.column_iter_mut().zip(&widths) {
                if width.least == width.full {
                    column.set_constraint(ColumnConstraint::ContentWidth);
                }
            }
        }
        _ => {}
    }
    table.trim_fmt()
}

/// How wide the content of a column is.
struct Width {
    /// Without line breaks.
    full: usize,
    /// With line breaks where they are allowed.
    least: usize,
}

impl Width {
    fn of(header: &[String], rows: &[Vec<String>], at: usize) -> Width {
        let name = header.get(at).map_or(0, |name| name.width());
        let cells = || rows.iter().filter_map(|row| row.get(at));
        let full = cells().map(|cell| cell.width()).max().unwrap_or(0).max(name);
        let can_wrap = cells().any(|cell| cell.contains(' '));
        Width { full, least: if can_wrap { full.min(MIN_TEXT.max(name)) } else { full } }
    }
}

/// Each row as a list of its values, with the names of the columns before them.
fn as_lists(header: &[String], rows: &[Vec<String>], columns: usize) -> String {
    let names = header.iter().map(|name| name.width()).max().unwrap_or(0);
    let list = |row: &Vec<String>| {
        let values = header.iter().zip(row).filter(|(_, value)| !value.is_empty());
        let lines: Vec<String> = values
            .map(|(name, value)| {
                let gap = " ".repeat(names - name.width());
                let indent = format!("\n{}", " ".repeat(names + 3));
                let room = columns.saturating_sub(names + 3).max(MIN_TEXT);
                format!(" {name}{gap}  {}", wrap_words(value, room).join(&indent))
            })
            .collect();
        lines.join("\n")
    };
    rows.iter().map(list).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "veg47r1vfp7z.01";
    const TIME: &str = "2026-11-30T11:07:29.780Z";

    fn check(columns: Option<usize>, expected: &str) {
        let header = ["ID", "TITLE", "UPDATED"].map(str::to_owned);
        let rows = [[ID, "Sort the mail of the first week of July into folders", TIME], [ID, "Sort", TIME]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(fitted_table(&header, &rows, columns), expected, "{columns:?}");
    }

    #[test]
    fn ids_and_times_are_never_split() {
        let wide = " ID               TITLE                                                 UPDATED\n veg47r1vfp7z.01  Sort the mail of the first week of July into folders  2026-11-30T11:07:29.780Z\n veg47r1vfp7z.01  Sort                                                  2026-11-30T11:07:29.780Z";
        check(None, wide);
        check(Some(120), wide);
        check(
            Some(80),
            " ID               TITLE                                UPDATED\n veg47r1vfp7z.01  Sort the mail of the first week of   2026-11-30T11:07:29.780Z\n                  July into folders\n veg47r1vfp7z.01  Sort                                 2026-11-30T11:07:29.780Z",
        );
        let narrow = " ID       veg47r1vfp7z.01\n TITLE    Sort the mail of the first week\n          of July into folders\n UPDATED  2026-11-30T11:07:29.780Z\n\n ID       veg47r1vfp7z.01\n TITLE    Sort\n UPDATED  2026-11-30T11:07:29.780Z";
        check(Some(41), narrow);
    }
}
