//! A worker a chunk: the prompt on its standard input, the tools through `TASKTALLY_MCP_CONFIG`.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::NamedTempFile;

use super::claim_heartbeat::EndedFor;
use super::item_command::{last_words, why};
use super::supervisor::{Ended, Launch, this_program_by_name};
use super::worker::{Came, Won, Worker};
use super::worker_pool::AT_ONCE;
use crate::error::{Code, Error, Result};
use crate::model::claim::{ClaimAuthority, standing};
use crate::model::id::TaskId;
use crate::model::job::WorkerScope;
use crate::prompts::{SERVER_KEY, work_chunk};

/// How a chunk stands once its worker has ended.
struct Left {
    /// Whether the claim is still the runner's.
    is_held: bool,
    status: String,
    items: u64,
    receipts: u64,
}

impl Worker<'_> {
    /// Lets a worker work a whole chunk; gives how many items failed.
    pub(super) fn work_chunk(&mut self, won: &Won) -> Result<u64> {
        let crew = self.crew;
        crew.progress.chunk_begins(
            won.id.as_str(),
            &won.claim.task.title,
            won.claim.items_left.unwrap_or_default(),
        );
        let job = WorkerScope { chunk: won.id.clone(), token: won.token.clone() };
        let config = self.mcp_config(&job)?;
        let told = [
            ("TASKTALLY_TASK", OsString::from(won.id.as_str())),
            ("TASKTALLY_BATCH", job.batch().as_str().into()),
            ("TASKTALLY_JOB", job.to_string().into()),
            ("TASKTALLY_DB", crew.store.into()),
            ("TASKTALLY_MCP_CONFIG", config.path().into()),
        ];
        let told = told.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.prepare(won, Some(config.path()), told)?;
        let before = self.left(won)?;
        let launch = Launch {
            environment: Vec::new(),
            input: work_chunk(&job.batch()),
            title: String::new(),
            kept_in: Some(crew.kept_in(won)),
        };
        let came = self.run(won, launch)?;
        drop(config);
        let ended = match came {
            Came::ToAnEnd(ended) => ended,
            // Completing the chunk ends the claim: what looked like a loss may be the end of the work.
            Came::Off(EndedFor::Lost) => return self.is_over(won),
            Came::Off(why) => return self.hand_back(won, why).map(|()| 0),
        };
        let left = self.left(won)?;
        let is_failed_start = left.is_held && ended.took < AT_ONCE && left.receipts == before.receipts;
        crew.saw_start(is_failed_start, || told_of(&ended))?;
        if !left.is_held {
            return self.is_over(won);
        }
        crew.progress.advance(before.items.saturating_sub(left.items));
        if left.items == 0 {
            // Every item has its receipt: that the worker forgot to say so changes nothing.
            return self.complete(won).map(|()| 0);
        }
        let items = if left.items == 1 { "item" } else { "items" };
        crew.release(
            won,
            &format!("its worker left {} {items} without a receipt: {}", left.items, told_of(&ended)),
        )?;
        Ok(0)
    }

    /// What became of a chunk whose claim is no longer the runner's.
    fn is_over(&self, won: &Won) -> Result<u64> {
        let left = self.left(won)?;
        match left.status.as_str() {
            "done" | "review" | "failed" | "active" | "blocked" => {
                self.crew.saw_start(false, String::new)?;
                self.crew.progress.advance(won.claim.items_left.unwrap_or(0).saturating_sub(left.items));
                self.leave(won, &left.status).map(|()| 0)
            }
            _ => self.hand_back(won, EndedFor::Lost).map(|()| 0),
        }
    }

    fn left(&self, won: &Won) -> Result<Left> {
        let (id, token) = (won.id.clone(), won.token.clone());
        self.crew.session.read(move |tx| {
            let task = tx.task(&id)?;
            let items = tx.chunk(&task)?.map_or(0, |chunk| chunk.counts.total - chunk.counts.processed());
            Ok(Left {
                is_held: standing(&task, Some(&token), tx.now()) == ClaimAuthority::Holder,
                status: task.status.to_string(),
                items,
                receipts: task.receipts,
            })
        })
    }

    /// A file, for its owner alone and gone with its worker, that names a server which shows this chunk only.
    fn mcp_config(&self, job: &WorkerScope) -> Result<NamedTempFile> {
        let folder = jobs(self.crew.session.folder());
        let cannot =
            |error| Error::internal(format!("a job cannot be written to {}", folder.display()), error);
        let program = this_program_by_name()?;
        let text = |path: &Path| {
            path.to_str().map(str::to_owned).ok_or_else(|| {
                Error::new(
                    Code::InvalidArgument,
                    format!("{} is not UTF-8, which an MCP configuration cannot hold", path.display()),
                )
            })
        };
        let server = json!({
            "command": text(&program)?,
            "args": ["--db", text(self.crew.store)?, "serve", "--toolset", "worker"],
            "env": { "TASKTALLY_JOB": job.to_string() },
        });
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(cannot)?;
        // Files of this kind are 0600 from the start.
        let mut file = tempfile::Builder::new()
            .prefix(job.chunk.as_str())
            .suffix(".json")
            .tempfile_in(&folder)
            .map_err(cannot)?;
        file.write_all(json!({ "mcpServers": { SERVER_KEY: server } }).to_string().as_bytes())
            .map_err(cannot)?;
        Ok(file)
    }
}

pub(super) fn jobs(data: &Path) -> PathBuf {
    data.join("jobs")
}

/// Removes the files that an earlier runner of a batch left when it died: their jobs are over.
///
/// # Errors
/// Where they cannot be removed.
pub(super) fn remove_jobs(data: &Path, batch: &TaskId) -> Result<()> {
    let folder = jobs(data);
    let cannot =
        |error| Error::internal(format!("old jobs in {} cannot be removed", folder.display()), error);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot(error)),
    };
    let of_batch = format!("{batch}.");
    for entry in entries {
        let entry = entry.map_err(cannot)?;
        if entry.file_name().to_string_lossy().starts_with(&of_batch) {
            std::fs::remove_file(entry.path()).map_err(cannot)?;
        }
    }
    Ok(())
}

/// How a worker ended, with its last words.
fn told_of(ended: &Ended) -> String {
    match last_words(&ended.err) {
        said if said.is_empty() => why(ended),
        said => format!("{}: {said}", why(ended)),
    }
}
