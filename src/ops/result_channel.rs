//! Hands the result of a job from a thread of the store to the caller that waits for it.
//!
//! The result lies beside the channel: a channel of results would be compiled again for each type of result, which took
//! an eighth of this crate's build time.

use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

type Slot<R> = Arc<Mutex<Option<R>>>;

/// A sender and a receiver for one result.
pub(super) fn result_channel<R>() -> (ResultSender<R>, ResultReceiver<R>) {
    let (ready, is_ready) = sync_channel(1);
    let slot = Slot::default();
    (ResultSender { slot: slot.clone(), ready }, ResultReceiver { slot, is_ready })
}

/// Sends the result.
pub(super) struct ResultSender<R> {
    slot: Slot<R>,
    ready: SyncSender<()>,
}

impl<R> ResultSender<R> {
    /// Sends the result. It is dropped if the receiver has gone.
    pub(super) fn send(self, result: R) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        self.ready.send(()).ok();
    }
}

/// Receives the result.
pub(super) struct ResultReceiver<R> {
    slot: Slot<R>,
    is_ready: Receiver<()>,
}

impl<R> ResultReceiver<R> {
    /// Waits for the result; `None` if the sender was dropped without one.
    pub(super) fn wait(&self) -> Option<R> {
        match self.is_ready.recv() {
            Ok(()) => self.take(),
            Err(RecvError) => None,
        }
    }

    /// The same, for a limited time.
    ///
    /// # Errors
    /// If the result did not come in time.
    pub(super) fn wait_at_most(&self, limit: Duration) -> Result<Option<R>, ResultIsLate> {
        match self.is_ready.recv_timeout(limit) {
            Ok(()) => Ok(self.take()),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(ResultIsLate),
        }
    }

    fn take(&self) -> Option<R> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The result did not come in time.
#[derive(Debug)]
pub(super) struct ResultIsLate;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_received_once() {
        let (sender, receiver) = result_channel();
        assert!(receiver.wait_at_most(Duration::from_millis(1)).is_err());
        std::thread::spawn(|| sender.send(7));
        assert_eq!(receiver.wait(), Some(7));
        assert_eq!(receiver.wait(), None, "the sender has gone");
    }

    #[test]
    fn a_sender_that_is_dropped_ends_the_wait() {
        let (sender, receiver) = result_channel::<u8>();
        std::thread::spawn(|| drop(sender));
        assert_eq!(receiver.wait(), None);
        assert!(matches!(receiver.wait_at_most(Duration::from_secs(60)), Ok(None)));
    }
}
