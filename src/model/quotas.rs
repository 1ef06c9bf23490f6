//! How much one caller may store. The operator's configuration can set other values.

/// Limits on what requests store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// The most bytes of items that one request may add to a batch, in MiB.
    pub max_batch_mb: u64,
    /// The most bytes of items that the batches of one project may hold together, in MiB.
    pub max_project_mb: u64,
    /// The most bytes of items that a CSV file may have for each of its own bytes.
    pub max_csv_growth: u64,
    /// The most late receipts that are kept for each claim that a task has had.
    pub max_late_receipts: u64,
    /// The most notes that are kept for each claim of a chunk: receipts that settle no item.
    pub max_notes: u64,
}

impl Default for Quotas {
    fn default() -> Self {
        Quotas {
            max_batch_mb: 2_048,
            max_project_mb: 16_384,
            max_csv_growth: 32,
            max_late_receipts: 100,
            max_notes: 1_000,
        }
    }
}
