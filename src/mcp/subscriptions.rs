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
use crate::ops::{Docket, Watched, begin_to_watch, changes};

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
    told: Told,
}

#[derive(Default)]
struct State {
    watches: Vec<Watch>,
    /// The number of the next watch.
    next: u64,
    /// Whether somebody looks at the store.
    looking: bool,
    /// The latest change that was looked at.
    seen: u64,
}

/// What one client watches.
pub(super) struct Subscriptions {
    docket: Docket,
    state: Mutex<State>,
}

impl Subscriptions {
    /// Nothing is watched yet.
    pub(super) fn new(docket: Docket) -> Arc<Self> {
        Arc::new(Subscriptions { docket, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches resources; gives the numbers to end it by.
    ///
    /// # Errors
    /// An address that names nothing; `too_large` where the client watches too much.
    pub(super) async fn watch(self: &Arc<Self>, uris: Vec<String>, told: Told) -> Result<Vec<u64>> {
        let docket = self.docket.clone();
        let found = blocking(move || {
            uris.into_iter().map(|uri| Ok((watched(&docket, &uri)?, uri))).collect::<Result<Vec<_>>>()
        })
        .await?;
        let asked: Vec<Watched> = found.iter().map(|(watched, _)| watched.clone()).collect();
        // First on the list, then where the list begins: no change falls between.
        let numbers = self.enter(found, &told)?;
        let docket = self.docket.clone();
        let begun = blocking(move || {
            asked.into_iter().try_fold(u64::MAX, |first, one| Ok(first.min(begin_to_watch(&docket, one)?)))
        })
        .await;
        match begun {
            Ok(since) => self.look_from(since),
            Err(error) => {
                self.end(&numbers);
                return Err(error);
            }
        }
        Ok(numbers)
    }

    fn enter(&self, found: Vec<(Watched, String)>, told: &Told) -> Result<Vec<u64>> {
        let mut state = self.state();
        if state.watches.len() + found.len() > MOST {
            return Err(Error::new(
                Code::TooLarge,
                format!(
                    "{} resources are watched already and {} more are asked for; a client watches at most {MOST}: end some, or poll",
                    state.watches.len(),
                    found.len()
                ),
            ));
        }
        let mut numbers = Vec::new();
        for (watched, uri) in found {
            let number = state.next;
            state.next += 1;
            numbers.push(number);
            state.watches.push(Watch { number, uri, watched, told: told.clone() });
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

    fn look_from(self: &Arc<Self>, since: u64) {
        let mut state = self.state();
        if !state.looking && !state.watches.is_empty() {
            state.looking = true;
            state.seen = since;
            tokio::spawn(self.clone().look());
        }
    }

    /// Looks at the store now and then, until nothing is watched.
    async fn look(self: Arc<Self>) {
        loop {
            tokio::time::sleep(EVERY).await;
            let (since, watches) = {
                let mut state = self.state();
                if state.watches.is_empty() {
                    state.looking = false;
                    return;
                }
                (state.seen, state.watches.clone())
            };
            let (docket, asked) =
                (self.docket.clone(), watches.iter().map(|one| one.watched.clone()).collect());
            let (latest, changed) = match blocking(move || changes(&docket, since, asked)).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%error, "changes could not be looked for");
                    continue;
                }
            };
            self.state().seen = latest;
            for (watch, _) in watches.iter().zip(changed).filter(|(_, changed)| *changed) {
                if !watch.told.tell(&watch.uri).await {
                    self.end(&[watch.number]);
                }
            }
        }
    }
}

/// Runs what blocks beside the protocol.
async fn blocking<T: Send + 'static>(call: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(call).await.unwrap_or_else(|error| Err(super::server::failed().caused_by(error)))
}
