//! The requests in flight: how many, and which of them wait for what may never come.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rmcp::model::RequestId;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::error::{Code, Error, Result};

/// The most requests in flight; beyond it the input waits.
pub(super) const IN_FLIGHT: u32 = 64;
/// The most requests that wait for a person or for changes beside those in flight.
const ASIDE: usize = 32;

/// Where a request that is not answered yet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a slot: it is being worked on.
    Slot,
    /// Beside them: it waits for what may never come.
    Aside,
}

/// Requests read and not yet answered.
pub(super) struct InFlight {
    slots: Semaphore,
    ids: Mutex<HashMap<RequestId, Place>>,
    /// Whether another line had come when the last one was read.
    more: AtomicBool,
    /// Whether the client has closed its end.
    gone: watch::Sender<bool>,
}

impl InFlight {
    /// None yet.
    pub(super) fn new() -> Self {
        InFlight {
            slots: Semaphore::new(IN_FLIGHT as usize),
            ids: Mutex::default(),
            more: AtomicBool::new(false),
            gone: watch::Sender::new(false),
        }
    }

    /// Waits for a free slot; none where the client no longer reads.
    pub(super) async fn take_slot(&self) -> Option<()> {
        self.slots.acquire().await.ok().map(SemaphorePermit::forget)
    }

    /// Frees a slot.
    pub(super) fn free_slot(&self) {
        self.slots.add_permits(1);
    }

    /// Takes a request's id, which has a slot; whether it was free.
    pub(super) fn enter(&self, id: &RequestId) -> bool {
        match self.ids().entry(id.clone()) {
            Entry::Vacant(free) => {
                free.insert(Place::Slot);
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// Frees a request's id; whether it has a slot that is to be freed.
    pub(super) fn leave(&self, id: &RequestId) -> bool {
        self.ids().remove(id) == Some(Place::Slot)
    }

    /// Remembers whether another line had come when one was read.
    pub(super) fn more_came(&self, more: bool) {
        self.more.store(more, Ordering::Relaxed);
    }

    /// Lets those go who wait for the client, and waits until all else is answered.
    pub(super) async fn client_goes(&self) {
        self.gone.send_replace(true);
        // Closed where the client doesn't read either.
        self.slots.acquire_many(IN_FLIGHT).await.ok();
    }

    /// Lets nothing more in: the client no longer reads.
    pub(super) fn close(&self) {
        self.slots.close();
    }

    /// Whether one request is being answered and no other has come.
    pub(super) fn is_one(&self) -> bool {
        self.slots.available_permits() + 1 >= IN_FLIGHT as usize && !self.more.load(Ordering::Relaxed)
    }

    /// Gives a request's slot back while it waits for a person or for changes, so that others are
    /// read and answered; it can be cancelled from then on.
    pub(super) fn step_aside(&self, id: &RequestId) -> Result<()> {
        let mut ids = self.ids();
        if ids.values().filter(|place| **place == Place::Aside).count() >= ASIDE {
            return Err(Error::new(
                Code::TooLarge,
                format!(
                    "{ASIDE} requests wait for a person or for changes already, which is the most; cancel or answer one"
                ),
            ));
        }
        if let Some(place) = ids.get_mut(id).filter(|place| **place == Place::Slot) {
            *place = Place::Aside;
            self.slots.add_permits(1);
        }
        Ok(())
    }

    /// Waits until the client has closed its end: whatever it was asked, it will not answer.
    pub(super) async fn gone(&self) {
        // The sender lives as long as this.
        self.gone.subscribe().wait_for(|gone| *gone).await.ok();
    }

    /// Forgets a request that waits aside; whether it was one. It is not answered any more.
    pub(super) fn cancel(&self, id: &RequestId) -> bool {
        let mut ids = self.ids();
        let waits = ids.get(id) == Some(&Place::Aside);
        if waits {
            ids.remove(id);
        }
        waits
    }

    fn ids(&self) -> MutexGuard<'_, HashMap<RequestId, Place>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
