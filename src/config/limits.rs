//! `[limits]`: limits over all batches of one store.

use super::setting_values::IntegerRule;
use super::table_reader::TableReader;
use crate::error::Result;
use crate::model::limits::DEFAULT_MAX_BATCH_MB;

/// Limits over all batches of one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How many workers run at once.
    pub max_parallel: usize,
    /// With less free disk space, in MiB, no worker starts. 0 switches the check off.
    pub min_free_disk_mb: u64,
    /// With less free memory, in MiB, no worker starts. 0 switches the check off.
    pub min_free_memory_mb: u64,
    /// The most bytes of items that one request may add to a batch, in MiB.
    pub max_batch_mb: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_parallel: 8,
            min_free_disk_mb: 512,
            min_free_memory_mb: 256,
            max_batch_mb: DEFAULT_MAX_BATCH_MB,
        }
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
        let batch_size =
            IntegerRule { range: 1..=1_000_000_000, unit: "MiB", default: Some(default.max_batch_mb) };
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
            max_batch_mb: from.integer("max_batch_mb", &batch_size)?.unwrap_or(default.max_batch_mb),
        })
    }
}
