//! `[limits]`: limits over all batches of one store.

use super::setting_values::IntegerRule;
use super::table_reader::TableReader;
use crate::error::Result;
use crate::model::quotas::Quotas;

/// Limits over all batches of one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How many workers run at once.
    pub max_parallel: usize,
    /// With less free disk space, in MiB, no worker starts. 0 switches the check off.
    pub min_free_disk_mb: u64,
    /// With less free memory, in MiB, no worker starts. 0 switches the check off.
    pub min_free_memory_mb: u64,
    /// How much requests may store.
    pub quotas: Quotas,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_parallel: 8, min_free_disk_mb: 512, min_free_memory_mb: 256, quotas: Quotas::default() }
    }
}

impl Limits {
    pub(super) fn read(from: &mut TableReader<'_>) -> Result<Self> {
        let default = Limits::default();
        let workers =
            IntegerRule { range: 1..=64, unit: "workers", default: Some(default.max_parallel as u64) };
        let free = |default| IntegerRule {
            range: 0..=1_000_000_000,
            unit: "MiB (0 switches the check off)",
            default: Some(default),
        };
        Ok(Limits {
            max_parallel: from
                .integer("max_parallel", &workers)?
                .map_or(default.max_parallel, |limit| limit as usize),
            min_free_disk_mb: from
                .integer("min_free_disk_mb", &free(default.min_free_disk_mb))?
                .unwrap_or(default.min_free_disk_mb),
            min_free_memory_mb: from
                .integer("min_free_memory_mb", &free(default.min_free_memory_mb))?
                .unwrap_or(default.min_free_memory_mb),
            quotas: read_quotas(from)?,
        })
    }
}

fn read_quotas(from: &mut TableReader<'_>) -> Result<Quotas> {
    let default = Quotas::default();
    let mut read = |name: &'static str, unit: &'static str, default: u64| {
        let rule = IntegerRule { range: 1..=1_000_000_000, unit, default: Some(default) };
        from.integer(name, &rule).map(|value| value.unwrap_or(default))
    };
    Ok(Quotas {
        max_batch_mb: read("max_batch_mb", "MiB", default.max_batch_mb)?,
        max_project_mb: read("max_project_mb", "MiB", default.max_project_mb)?,
        max_csv_growth: read("max_csv_growth", "bytes", default.max_csv_growth)?,
        max_late_receipts: read("max_late_receipts", "receipts", default.max_late_receipts)?,
        max_notes: read("max_notes", "receipts", default.max_notes)?,
    })
}
