//! The environment variables that describe an item to the command that is run for it.

/// What the command of an item receives besides its standard input.
pub(super) struct ItemEnvironment<'a> {
    /// The chunk or task.
    pub(super) task: &'a str,
    /// The batch; empty for a task without items.
    pub(super) batch: &'a str,
    /// The item's key; empty for a task without items.
    pub(super) item: &'a str,
    /// Since when the item is in doubt, and which worker had started it.
    pub(super) in_doubt: Option<(&'a str, &'a str)>,
}

impl ItemEnvironment<'_> {
    /// The variables with their values.
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        let mut variables = vec![
            ("TASKTALLY_TASK", self.task),
            ("TASKTALLY_BATCH", self.batch),
            ("TASKTALLY_ITEM", self.item),
        ];
        if let Some((since, by)) = self.in_doubt {
            variables.extend([("TASKTALLY_IN_DOUBT", since), ("TASKTALLY_IN_DOUBT_BY", by)]);
        }
        variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}
