//! Which tables a statement reads.

/// Whether a statement may read a table: its name is a word of the statement that no other name qualifies. A column of the
/// same name counts as well, so that no table is overlooked.
pub(super) fn may_read(sql: &str, table: &str) -> bool {
    let is_part_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    sql.match_indices(table).any(|(start, _)| {
        let (before, after) = (&sql[..start], &sql[start + table.len()..]);
        !before.ends_with(|letter| is_part_of_name(letter) || letter == '.')
            && !after.starts_with(is_part_of_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_a_word_that_nothing_qualifies() {
        assert!(may_read("SELECT 1 FROM item i", "item"));
        assert!(may_read("SELECT 1 FROM item", "item"));
        assert!(may_read("SELECT 1 FROM (SELECT a FROM x,item) y", "item"));
        assert!(!may_read("SELECT i.item FROM items_of i JOIN old_item o", "item"));
        assert!(may_read("SELECT item FROM other", "item"), "a column of that name counts");
    }
}
