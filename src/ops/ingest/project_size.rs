//! The size of all items of a project, limited after a batch was inserted, in the same transaction.

use crate::error::{Code, Error, Result};
use crate::model::limits::MIB;
use crate::store::StoreRead;

/// Refuses what was inserted into a batch of the project, if the project's batches now hold more than `limit_mb` MiB of
/// items. The caller rolls the transaction back.
///
/// # Errors
/// `too_large` with the size and the limit, or if the store cannot be read.
pub(in crate::ops) fn check_project_size(
    tx: &dyn StoreRead,
    project: Option<&str>,
    limit_mb: u64,
) -> Result<()> {
    let limit = limit_mb.saturating_mul(MIB);
    // The size of all projects is read faster than the size of one.
    if tx.items_bytes(None)? <= limit {
        return Ok(());
    }
    let bytes = tx.items_bytes(Some(project))?;
    if bytes <= limit {
        return Ok(());
    }
    let batches = match project {
        Some(project) => format!("the batches of project '{project}'"),
        None => "the batches without a project".to_owned(),
    };
    Err(Error::new(
        Code::TooLarge,
        format!(
            "with these items, {batches} would hold {bytes} bytes of items; at most {limit_mb} MiB are allowed (limits.max_project_mb in the operator's configuration). Nothing was stored. Keep large content in files and give their paths, or ask the operator to raise the limit"
        ),
    ))
}
