//! Subscriptions: a client is told when a resource that it watches changes, whichever process changed
//! it. Nothing depends on it: a notification may come late, twice or never, polling is what counts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::ResourceUpdatedNotificationParam;
use rmcp::service::{Peer, SubscriptionSink};
use tokio::task::spawn_blocking;

use super::resources::watched;
use crate::error::{Code, Error, Result};
use crate::ops::find_changes;
use crate::ops::{Session, Watched, latest_change_number, start_watching};

/// How often the store is looked at while anything is watched.
const EVERY: Duration = Duration::from_secs(1);
/// The most resources that a client watches at once.
const MOST: usize = 100;

/// How a client is told.
#[derive(Clone)]
pub(super) enum Told {
    /// As a legacy client that subscribed.
    Peer(Peer<RoleServer>),
    /// On a stream that the client opened by listening.
    Stream(SubscriptionSink),
}

impl Told {
    /// Whether the client can still be told.
    async fn tell(&self, uri: &str) -> bool {
        match self {
            Told::Peer(peer) => {
                peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await.is_ok()
            }
            Told::Stream(sink) => sink.notify_resource_updated(uri).await.is_ok(),
        }
    }
}

#[derive(Clone)]
struct Watch {
    number: u64,
    uri: String,
    watched: Watched,
    /// The latest change that its client was told of, or that was there when it began to watch.
    since: u64,
    told: Told,
}

#[derive(Default)]
struct State {
    watches: Vec<Watch>,
    /// The number of the next watch.
    next: u64,
    /// Whether somebody looks at the store.
    looking: bool,
    /// The latest change when each stream was agreed to that isn't watched yet.
    agreed: Vec<u64>,
}

/// What one client watches.
pub(super) struct Subscriptions {
    session: Session,
    state: Mutex<State>,
}

impl Subscriptions {
    /// Nothing is watched yet.
    pub(super) fn new(session: Session) -> Arc<Self> {
        Arc::new(Subscriptions { session, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream is about to be agreed to: what changes from now on, its client is told. (It hears of the
    /// agreement before [`Subscriptions::watch`] runs.)
    pub(super) fn agree(&self) {
        match latest_change_number(&self.session) {
            Ok(latest) => self.state().agreed.push(latest),
            Err(error) => tracing::warn!(%error, "changes before the stream begins could be missed"),
        }
    }

    /// Watches resources; gives the numbers to end it by.
    ///
    /// # Errors
    /// An address that names nothing; `too_large` where the client watches too much.
    pub(super) async fn watch(self: &Arc<Self>, uris: Vec<String>, told: Told) -> Result<Vec<u64>> {
        let agreed = match told {
            Told::Peer(_) => None,
            Told::Stream(_) => self.earliest_agreed(),
        };
        let session = self.session.clone();
        let watches = blocking(move || {
            uris.into_iter()
                .map(|uri| {
                    let watched = watched(&session, &uri)?;
                    let now = start_watching(&session, watched.clone())?;
                    let since = agreed.unwrap_or(now);
                    Ok(Watch { number: 0, uri, watched, since, told: told.clone() })
                })
                .collect()
        })
        .await?;
        self.enter(watches)
    }

    /// Of streams that were agreed to at once nobody can say whose turn it is: the earliest is early
    /// enough for each.
    fn earliest_agreed(&self) -> Option<u64> {
        let agreed = &mut self.state().agreed;
        let (at, _) = agreed.iter().enumerate().min_by_key(|(_, change)| **change)?;
        Some(agreed.swap_remove(at))
    }

    fn enter(self: &Arc<Self>, watches: Vec<Watch>) -> Result<Vec<u64>> {
        let mut state = self.state();
        if state.watches.len() + watches.len() > MOST {
            return Err(Error::new(
                Code::TooLarge,
                format!(
                    "{} resources are watched already and {} more are asked for; a client watches at most {MOST}: end some, or poll",
                    state.watches.len(),
                    watches.len()
                ),
            ));
        }
        let mut numbers = Vec::new();
        for watch in watches {
            let number = state.next;
            state.next += 1;
            numbers.push(number);
            state.watches.push(Watch { number, ..watch });
        }
        if !state.looking && !state.watches.is_empty() {
            state.looking = true;
            tokio::spawn(self.clone().look());
        }
        Ok(numbers)
    }

    /// Watches a resource for a legacy client; once is enough.
    ///
    /// # Errors
    /// As [`Subscriptions::watch`].
    pub(super) async fn subscribe(self: &Arc<Self>, uri: String, peer: Peer<RoleServer>) -> Result<()> {
        self.unsubscribe(&uri);
        self.watch(vec![uri], Told::Peer(peer)).await.map(|_| ())
    }

    /// Ends what a legacy client subscribed to.
    pub(super) fn unsubscribe(&self, uri: &str) {
        self.state().watches.retain(|watch| watch.uri != uri || matches!(watch.told, Told::Stream(_)));
    }

    /// Ends watching.
    pub(super) fn end(&self, numbers: &[u64]) {
        self.state().watches.retain(|watch| !numbers.contains(&watch.number));
    }

    /// Looks at the store now and then, until nothing is watched.
    async fn look(self: Arc<Self>) {
        loop {
            tokio::time::sleep(EVERY).await;
            let watches = {
                let mut state = self.state();
                if state.watches.is_empty() {
                    state.looking = false;
                    return;
                }
                state.watches.clone()
            };
            let asked = watches.iter().map(|one| (one.watched.clone(), one.since)).collect();
            let session = self.session.clone();
            let (latest, changed) = match blocking(move || find_changes(&session, asked)).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%error, "changes could not be looked for");
                    continue;
                }
            };
            self.seen(&watches, latest);
            for (watch, _) in watches.iter().zip(changed).filter(|(_, changed)| *changed) {
                if !watch.told.tell(&watch.uri).await {
                    self.end(&[watch.number]);
                }
            }
        }
    }

    /// Those watches that were looked at are told of what comes after `latest` only.
    fn seen(&self, watches: &[Watch], latest: u64) {
        let looked_at = |watch: &Watch| watches.iter().any(|one| one.number == watch.number);
        for watch in self.state().watches.iter_mut().filter(|watch| looked_at(watch)) {
            watch.since = latest;
        }
    }
}

/// Runs what blocks beside the protocol.
async fn blocking<T: Send + 'static>(call: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(call).await.unwrap_or_else(|error| Err(super::server::failed().caused_by(error)))
}
