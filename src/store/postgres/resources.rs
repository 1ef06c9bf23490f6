//! The resources of chunks. A row of `resource_block` stores many of them: a line each, with its key and its chunks.

use super::read::ITEMS;
use super::statement::Statement;
use super::tx::Tx;
use super::value::values;
use crate::error::Result;
use crate::model::status::Status;
use crate::model::task::RowId;
use crate::store::pages::OPEN_ITEMS_AT_ONCE;
use crate::store::resource_block::{decode_block, encode_block};
use crate::store::rows::StoredRow as _;
use crate::store::rows::word;
use crate::store::{ResourceInUse, ResourceRead, ResourceWrite};

impl Tx<'_> {
    /// Whether a chunk in progress uses a shared resource.
    pub(super) fn is_any_resource_in_use(&self) -> Result<bool> {
        Ok(self.first("SELECT 1 FROM resource_in_use LIMIT 1", values![], |_| Ok(()))?.is_some())
    }
}

/// A resource of chunk `$1` that another chunk in progress has as well.
const RESOURCE_IN_USE: &str = "SELECT theirs.chunk, mine.resource_key FROM shared_resource mine JOIN resource_in_use theirs
                    ON theirs.project = mine.project AND theirs.resource_key = mine.resource_key
              WHERE mine.chunk = $1 AND theirs.chunk <> $1 AND (mine.descendants_only = 0 OR theirs.descendants_only = 0) LIMIT 1";

impl ResourceRead for Tx<'_> {
    fn running_batches(&self, project: Option<&str>) -> Result<Vec<RowId>> {
        self.all(
            "SELECT t.row_id FROM task t WHERE t.queue_state = 'in_progress' AND t.role = 'batch' AND t.project IS NOT DISTINCT FROM $1",
            values![project],
            |row| row.get(0),
        )
    }

    fn chunks_changed_since(&self, change_number: u64) -> Result<Vec<(RowId, Status)>> {
        self.all(
            "SELECT row_id, status FROM task WHERE change_number > $1 AND role = 'chunk'",
            values![change_number],
            |row| Ok((row.get(0)?, word(row, 1)?)),
        )
    }

    fn count_resource_layers(&self, batch: RowId) -> Result<u64> {
        let layers = self.first(
            // The last layer may belong to items that are not published yet.
            "SELECT coalesce(max(layer) + 1, 0) FROM resource_block
              WHERE batch = $1 AND layer NOT IN (SELECT layer FROM unpublished WHERE batch = $1)",
            values![batch],
            |row| row.get(0),
        )?;
        Ok(layers.unwrap_or(0))
    }

    fn resource_block(&self, batch: RowId, layer: u64, key: &str) -> Result<Vec<(String, Vec<RowId>)>> {
        let block: Option<String> = self.first(
            "SELECT entries FROM resource_block WHERE batch = $1 AND layer = $2 AND last_key >= $3 ORDER BY last_key LIMIT 1",
            values![batch, layer, key],
            |row| row.get(0),
        )?;
        block.map_or(Ok(Vec::new()), |text| decode_block(&text))
    }

    fn resource_in_use(&self, chunk: RowId) -> Result<Option<ResourceInUse>> {
        let used = Statement::with(RESOURCE_IN_USE, values![chunk]);
        // A chunk whose resources are asked for is about to be claimed: the claim returns its first items.
        let items = Statement::with(ITEMS, values![chunk, 0_u64, OPEN_ITEMS_AT_ONCE, true]);
        self.load_with(chunk, vec![used, items])?;
        self.first(RESOURCE_IN_USE, values![chunk], |row| {
            Ok(ResourceInUse { chunk: row.get(0)?, resource: row.get(1)? })
        })
    }
}

impl ResourceWrite for Tx<'_> {
    fn insert_resource_block(&self, batch: RowId, layer: u64, block: &[(String, Vec<RowId>)]) -> Result<()> {
        let Some((last, _)) = block.last() else { return Ok(()) };
        self.write(
            "INSERT INTO resource_block (batch, layer, last_key, entries) VALUES ($1, $2, $3, $4)",
            values![batch, layer, last, encode_block(block)],
        );
        Ok(())
    }

    fn delete_resource_layer(&self, batch: RowId, layer: u64) -> Result<()> {
        self.write("DELETE FROM resource_block WHERE batch = $1 AND layer = $2", values![batch, layer]);
        Ok(())
    }

    fn add_shared_resource(
        &self,
        chunk: RowId,
        project: Option<&str>,
        key: &str,
        descendants_only: bool,
    ) -> Result<()> {
        self.write(
            // A chunk that touches a resource as a whole and a path below it touches the whole.
            "INSERT INTO shared_resource (chunk, resource_key, descendants_only, project) VALUES ($1, $2, $3, $4)
             ON CONFLICT (chunk, resource_key, project) DO UPDATE SET descendants_only = 0
              WHERE shared_resource.descendants_only > excluded.descendants_only",
            values![chunk, key, descendants_only, project.unwrap_or_default()],
        );
        Ok(())
    }

    fn add_shared_resource_of_stored_chunk(
        &self,
        chunk: RowId,
        project: Option<&str>,
        key: &str,
        descendants_only: bool,
    ) -> Result<()> {
        self.add_shared_resource(chunk, project, key, descendants_only)?;
        self.write(
            "INSERT INTO resource_in_use (project, resource_key, chunk, descendants_only)
             SELECT $2, $3, $1, $4 FROM task WHERE row_id = $1 AND status = 'in_progress'
             ON CONFLICT (project, resource_key, chunk) DO UPDATE SET descendants_only = 0
              WHERE resource_in_use.descendants_only > excluded.descendants_only",
            values![chunk, project.unwrap_or_default(), key, descendants_only],
        );
        Ok(())
    }
}
