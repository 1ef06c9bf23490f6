//! Subscriptions: the server notifies a client when a resource changes, whichever process changed it. A
//! notification may be late, repeated or missing, so clients also poll.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::ResourceUpdatedNotificationParam;
use rmcp::service::{Peer, SubscriptionSink};
use tokio::task::spawn_blocking;

use super::operation_call::request_failed;
use super::resources::watched_object;
use crate::error::{Code, Error, Result};
use crate::ops::{Session, WatchedObject, find_changes, latest_change_number, start_watching};

/// How often the server reads changes from the store while a client has subscriptions.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The most subscriptions of a client.
const MAX_SUBSCRIPTIONS: usize = 100;

/// How a client is notified.
#[derive(Clone)]
pub(super) enum Notifier {
    /// By a notification of the session, for `resources/subscribe` of older protocol versions.
    Peer(Peer<RoleServer>),
    /// On the stream that the client opened with `subscriptions/listen`.
    Stream(SubscriptionSink),
}

impl Notifier {
    /// Notifies the client that a resource changed. Returns whether the client could be reached.
    async fn notify(&self, uri: &str) -> bool {
        match self {
            Notifier::Peer(peer) => {
                peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await.is_ok()
            }
            Notifier::Stream(sink) => sink.notify_resource_updated(uri).await.is_ok(),
        }
    }
}

#[derive(Clone)]
struct Subscription {
    number: u64,
    uri: String,
    object: WatchedObject,
    /// Only changes after this number are reported.
    since: u64,
    notifier: Notifier,
}

#[derive(Default)]
struct SubscriptionState {
    subscriptions: Vec<Subscription>,
    /// The number of the next subscription.
    next_number: u64,
    /// Whether a task polls the store.
    is_polling: bool,
    /// For each stream that was accepted and has no subscriptions yet: the latest change number when it was accepted.
    accepted: Vec<u64>,
}

/// The subscriptions of one client.
pub(super) struct Subscriptions {
    session: Session,
    state: Mutex<SubscriptionState>,
}

impl Subscriptions {
    /// No subscriptions.
    pub(super) fn new(session: Session) -> Arc<Self> {
        Arc::new(Subscriptions { session, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, SubscriptionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a stream is accepted, so that its client is notified of all changes from now on. The client
    /// learns that the stream is accepted before [`Subscriptions::add`] runs.
    pub(super) fn note_accepted_stream(&self) {
        match latest_change_number(&self.session) {
            Ok(latest) => self.state().accepted.push(latest),
            Err(error) => tracing::warn!(%error, "changes before the first poll of a stream may be missed"),
        }
    }

    /// Adds a subscription for each address. Returns their numbers, for [`Subscriptions::remove`].
    ///
    /// # Errors
    /// An address that names nothing; `too_large` if the client has too many subscriptions.
    pub(super) async fn add(self: &Arc<Self>, uris: Vec<String>, notifier: Notifier) -> Result<Vec<u64>> {
        let accepted = match notifier {
            Notifier::Peer(_) => None,
            Notifier::Stream(_) => self.take_earliest_accepted(),
        };
        let session = self.session.clone();
        let subscriptions = run_blocking(move || {
            uris.into_iter()
                .map(|uri| {
                    let object = watched_object(&session, &uri)?;
                    let now = start_watching(&session, object.clone())?;
                    let since = accepted.unwrap_or(now);
                    Ok(Subscription { number: 0, uri, object, since, notifier: notifier.clone() })
                })
                .collect()
        })
        .await?;
        self.store(subscriptions)
    }

    /// Streams that were accepted at the same time cannot be distinguished here. The earliest change number is early
    /// enough for each of them.
    fn take_earliest_accepted(&self) -> Option<u64> {
        let accepted = &mut self.state().accepted;
        let (at, _) = accepted.iter().enumerate().min_by_key(|(_, change)| **change)?;
        Some(accepted.swap_remove(at))
    }

    fn store(self: &Arc<Self>, added: Vec<Subscription>) -> Result<Vec<u64>> {
        let mut state = self.state();
        if state.subscriptions.len() + added.len() > MAX_SUBSCRIPTIONS {
            return Err(Error::new(
                Code::TooLarge,
                format!(
                    "the client has {} subscriptions and asks for {} more; a client may have at most {MAX_SUBSCRIPTIONS}: end some, or poll instead",
                    state.subscriptions.len(),
                    added.len()
                ),
            ));
        }
        let mut numbers = Vec::new();
        for subscription in added {
            let number = state.next_number;
            state.next_number += 1;
            numbers.push(number);
            state.subscriptions.push(Subscription { number, ..subscription });
        }
        if !state.is_polling && !state.subscriptions.is_empty() {
            state.is_polling = true;
            tokio::spawn(self.clone().poll());
        }
        Ok(numbers)
    }

    /// Adds the subscription of `resources/subscribe`, in place of an earlier one to the same address.
    ///
    /// # Errors
    /// As [`Subscriptions::add`].
    pub(super) async fn subscribe(self: &Arc<Self>, uri: String, peer: Peer<RoleServer>) -> Result<()> {
        self.unsubscribe(&uri);
        self.add(vec![uri], Notifier::Peer(peer)).await.map(|_| ())
    }

    /// Removes the subscription of `resources/subscribe` to an address.
    pub(super) fn unsubscribe(&self, uri: &str) {
        self.state()
            .subscriptions
            .retain(|one| one.uri != uri || matches!(one.notifier, Notifier::Stream(_)));
    }

    /// Removes subscriptions by number.
    pub(super) fn remove(&self, numbers: &[u64]) {
        self.state().subscriptions.retain(|one| !numbers.contains(&one.number));
    }

    /// Polls the store and notifies the client, until there are no subscriptions.
    async fn poll(self: Arc<Self>) {
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let subscriptions = {
                let mut state = self.state();
                if state.subscriptions.is_empty() {
                    state.is_polling = false;
                    return;
                }
                state.subscriptions.clone()
            };
            let objects = subscriptions.iter().map(|one| (one.object.clone(), one.since)).collect();
            let session = self.session.clone();
            let (latest, changed) = match run_blocking(move || find_changes(&session, objects)).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%error, "changes for subscriptions could not be read");
                    continue;
                }
            };
            self.set_since(&subscriptions, latest);
            for (subscription, _) in subscriptions.iter().zip(changed).filter(|(_, changed)| *changed) {
                if !subscription.notifier.notify(&subscription.uri).await {
                    self.remove(&[subscription.number]);
                }
            }
        }
    }

    /// Lets the next poll of these subscriptions start after `latest`.
    fn set_since(&self, polled: &[Subscription], latest: u64) {
        let was_polled = |one: &Subscription| polled.iter().any(|other| other.number == one.number);
        for subscription in self.state().subscriptions.iter_mut().filter(|one| was_polled(one)) {
            subscription.since = latest;
        }
    }
}

/// Runs a call that blocks on a thread of its own.
async fn run_blocking<T: Send + 'static>(call: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(call).await.unwrap_or_else(|error| Err(request_failed().caused_by(error)))
}
