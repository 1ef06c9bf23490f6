//! The open items of a claimed chunk: those that were not tried yet, in their order, and those that wait for another
//! try.

use std::collections::VecDeque;
use std::time::Instant;

use crate::ops::WorkerItem;

/// An item in the queue.
pub(super) struct QueuedItem {
    pub(super) item: WorkerItem,
    /// Whether the store has recorded that the item was started under the current claim.
    pub(super) is_started: bool,
    /// When it may be tried, if it failed temporarily before.
    due_at: Option<Instant>,
}

impl QueuedItem {
    /// Whether the item's command has run before, so that its action may have happened.
    pub(super) fn was_tried(&self) -> bool {
        self.due_at.is_some()
    }
}

/// The open items of a claimed chunk.
#[derive(Default)]
pub(super) struct ItemQueue {
    untried: VecDeque<QueuedItem>,
    waiting: Vec<QueuedItem>,
    next_page: Option<u64>,
}

impl ItemQueue {
    /// Adds an item that was not tried under this claim. `due_at` is set if it failed temporarily under another one.
    pub(super) fn add(&mut self, item: WorkerItem, is_started: bool, due_at: Option<Instant>) {
        let queued = QueuedItem { item, is_started, due_at };
        if due_at.is_some() { self.waiting.push(queued) } else { self.untried.push_back(queued) }
    }

    /// Puts an item back that failed temporarily.
    pub(super) fn put_back(&mut self, item: QueuedItem, due_at: Instant) {
        self.waiting.push(QueuedItem { due_at: Some(due_at), ..item });
    }

    /// Sets where the next page of items starts.
    pub(super) fn set_next_page(&mut self, after: Option<u64>) {
        self.next_page = after;
    }

    /// Where the page starts that has to be read now, because no untried item is left.
    pub(super) fn missing_page(&self) -> Option<u64> {
        self.next_page.filter(|_| self.untried.is_empty())
    }

    /// Whether no item is left.
    pub(super) fn is_empty(&self) -> bool {
        self.untried.is_empty() && self.waiting.is_empty()
    }

    /// Takes an item that may be tried now: the one that has waited longest, else the next untried one.
    pub(super) fn take(&mut self, now: Instant) -> Option<QueuedItem> {
        let due = (0..self.waiting.len())
            .filter(|index| self.waiting[*index].due_at.is_none_or(|due| due <= now))
            .min_by_key(|index| self.waiting[*index].due_at);
        match due {
            Some(index) => Some(self.waiting.remove(index)),
            None => self.untried.pop_front(),
        }
    }

    /// When the next item may be tried, if none may be tried now.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.iter().filter_map(|item| item.due_at).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn items_are_taken_in_their_order_and_those_that_wait_when_they_are_due() {
        let now = Instant::now();
        let item = |key: &str| WorkerItem { key: key.to_owned(), ..WorkerItem::default() };
        let second = Duration::from_secs(1);
        let mut queue = ItemQueue::default();
        for key in ["a", "b", "c"] {
            queue.add(item(key), key == "a", None);
        }
        let take = |queue: &mut ItemQueue, after: u32| {
            queue.take(now + second * after).map(|item| item.item.key).unwrap_or_default()
        };
        let first = queue.take(now).unwrap();
        assert!(first.is_started && !first.was_tried());
        queue.put_back(first, now + second * 3);
        assert_eq!(take(&mut queue, 0), "b");
        queue.add(item("d"), false, Some(now + second));
        assert_eq!(queue.next_due(), Some(now + second));
        assert_eq!(take(&mut queue, 5), "d", "the one that is due first");
        assert_eq!(take(&mut queue, 5), "a", "before those that were not tried");
        queue.set_next_page(Some(7));
        assert_eq!(queue.missing_page(), None);
        assert_eq!(take(&mut queue, 5), "c");
        assert_eq!(queue.missing_page(), Some(7));
        assert!(queue.is_empty());
        assert_eq!(take(&mut queue, 9), "");
    }
}
