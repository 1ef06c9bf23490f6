//! Resources that chunks touch, and which chunks share one.

use crate::error::Result;
use crate::model::status::Status;
use crate::model::task::RowId;

/// A resource that a chunk needs and a chunk in progress uses.
#[derive(Debug, Clone)]
pub struct ResourceInUse {
    /// The chunk in progress.
    pub chunk: RowId,
    /// The key of the resource that both chunks touch.
    pub resource: String,
}

/// Reads the resources of chunks.
pub trait ResourceRead {
    /// Batches in progress in exactly this project (`None`: in no project).
    fn running_batches(&self, project: Option<&str>) -> Result<Vec<RowId>>;
    /// The chunks that changed after a change number, and their status.
    fn chunks_changed_since(&self, change_number: u64) -> Result<Vec<(RowId, Status)>>;
    /// In how many layers the resources of a batch are stored.
    fn count_resource_layers(&self, batch: RowId) -> Result<u64>;
    /// The block of a layer that contains the first resource at or after `key`: keys in order, each with the chunks
    /// that touch it. Empty after the last block.
    fn resource_block(&self, batch: RowId, layer: u64, key: &str) -> Result<Vec<(String, Vec<RowId>)>>;
    /// A resource of this chunk that another chunk in progress uses, if there is one.
    fn resource_in_use(&self, chunk: RowId) -> Result<Option<ResourceInUse>>;
}

/// Writes the resources of chunks.
pub trait ResourceWrite {
    /// Stores a block of the resources that a batch's chunks touch, in the order of their keys.
    fn insert_resource_block(&self, batch: RowId, layer: u64, block: &[(String, Vec<RowId>)]) -> Result<()>;
    /// Deletes a layer of a batch's resources.
    fn delete_resource_layer(&self, batch: RowId, layer: u64) -> Result<()>;
    /// Records that a chunk shares a resource with other chunks of the project: only one of them is worked on at a
    /// time. With `descendants_only`, the chunk touches only paths below the resource, and excludes only chunks
    /// that touch the resource as a whole.
    fn add_shared_resource(
        &self,
        chunk: RowId,
        project: Option<&str>,
        key: &str,
        descendants_only: bool,
    ) -> Result<()>;
    /// The same for a chunk of an existing batch, which may be in progress: the resource is then in use at once.
    fn add_shared_resource_of_stored_chunk(
        &self,
        chunk: RowId,
        project: Option<&str>,
        key: &str,
        descendants_only: bool,
    ) -> Result<()>;
}
