//! The requests in flight: how many there are, and which of them wait for a person or for changes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rmcp::model::RequestId;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::error::{Code, Error, Result};

/// The most requests that are processed at once. While all slots are used, the server reads no further input.
pub(super) const MAX_IN_FLIGHT: u32 = 64;
/// The most requests that wait for a person or for changes. They use no slot.
const MAX_WAITING: usize = 32;

/// The state of a request that is not answered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RequestState {
    /// The request is being processed and uses a slot.
    Processing,
    /// The request waits for a person or for changes, without a limit, and uses no slot.
    Waiting,
}

/// Requests that were read and are not answered yet.
pub(super) struct InFlight {
    slots: Semaphore,
    requests: Mutex<HashMap<RequestId, RequestState>>,
    /// Whether another line was buffered when the last one was read.
    more_input: AtomicBool,
    /// Whether the client has closed its output, our input.
    closed: watch::Sender<bool>,
}

impl InFlight {
    /// No requests.
    pub(super) fn new() -> Self {
        InFlight {
            slots: Semaphore::new(MAX_IN_FLIGHT as usize),
            requests: Mutex::default(),
            more_input: AtomicBool::new(false),
            closed: watch::Sender::new(false),
        }
    }

    /// Waits for a free slot. Returns `None` if the client no longer reads.
    pub(super) async fn acquire_slot(&self) -> Option<()> {
        self.slots.acquire().await.ok().map(SemaphorePermit::forget)
    }

    /// Frees a slot.
    pub(super) fn free_slot(&self) {
        self.slots.add_permits(1);
    }

    /// Adds a request that has a slot. Returns false if another request with this id is not answered yet.
    pub(super) fn add(&self, id: &RequestId) -> bool {
        match self.requests().entry(id.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(RequestState::Processing);
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// Removes a request. Returns whether it has a slot, which the caller then frees.
    pub(super) fn remove(&self, id: &RequestId) -> bool {
        self.requests().remove(id) == Some(RequestState::Processing)
    }

    /// Records whether another line was buffered when the last one was read.
    pub(super) fn set_more_input(&self, more: bool) {
        self.more_input.store(more, Ordering::Relaxed);
    }

    /// Ends the waiting requests, because the client has closed its output, and waits until all others are answered.
    pub(super) async fn drain(&self) {
        self.closed.send_replace(true);
        // An error means that the semaphore is closed: the client no longer reads either.
        self.slots.acquire_many(MAX_IN_FLIGHT).await.ok();
    }

    /// Ends the session: the client no longer reads.
    pub(super) fn close(&self) {
        self.slots.close();
    }

    /// Whether one request is being processed and no other was read or is buffered.
    pub(super) fn is_only_request(&self) -> bool {
        self.slots.available_permits() + 1 >= MAX_IN_FLIGHT as usize
            && !self.more_input.load(Ordering::Relaxed)
    }

    /// Frees the slot of a request that starts to wait for a person or for changes, so that other requests are
    /// processed meanwhile. From then on the client can cancel it.
    pub(super) fn start_waiting(&self, id: &RequestId) -> Result<()> {
        let mut requests = self.requests();
        if requests.values().filter(|state| **state == RequestState::Waiting).count() >= MAX_WAITING {
            return Err(Error::new(
                Code::TooLarge,
                format!(
                    "{MAX_WAITING} requests of this client already wait for a person or for changes, and more are not allowed; cancel or answer one of them first"
                ),
            ));
        }
        if let Some(state) = requests.get_mut(id).filter(|state| **state == RequestState::Processing) {
            *state = RequestState::Waiting;
            self.slots.add_permits(1);
        }
        Ok(())
    }

    /// Waits until the client has closed its output, so that it can no longer answer questions.
    pub(super) async fn client_closed(&self) {
        // Never an error: `self` owns the sender.
        self.closed.subscribe().wait_for(|closed| *closed).await.ok();
    }

    /// Removes a request if it waits, so that it is not answered any more. Returns whether it did.
    pub(super) fn cancel(&self, id: &RequestId) -> bool {
        let mut requests = self.requests();
        let waits = requests.get(id) == Some(&RequestState::Waiting);
        if waits {
            requests.remove(id);
        }
        waits
    }

    fn requests(&self) -> MutexGuard<'_, HashMap<RequestId, RequestState>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
