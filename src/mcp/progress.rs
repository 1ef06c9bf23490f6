//! Progress notifications, for a request that brought a token.

use std::pin::pin;
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::Peer;
use tokio::sync::watch::Receiver;

use crate::ops::Progress;

/// How long nothing more is told after a notification.
const REST: Duration = Duration::from_millis(300);

/// Sees `work` to its end and tells the client how far it is.
pub(super) async fn told<T>(
    peer: &Peer<RoleServer>,
    token: ProgressToken,
    mut progress: Receiver<Progress>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    loop {
        let news = async {
            tokio::time::sleep(REST).await;
            progress.changed().await.is_ok()
        };
        let more = tokio::select! {
            biased;
            done = &mut work => return done,
            more = news => more,
        };
        if !more {
            return work.await;
        }
        let now = *progress.borrow_and_update();
        // Not beside the work: after its answer nothing may be told. A client that has gone needs not know.
        peer.notify_progress(notification(token.clone(), now)).await.ok();
    }
}

/// Reading and storing count alike; how much there is is known once all is read.
fn notification(token: ProgressToken, now: Progress) -> ProgressNotificationParam {
    #[expect(clippy::cast_precision_loss, reason = "a count of items stays far below 2^52")]
    let steps = |count: u64| count as f64;
    let told = ProgressNotificationParam::new(token, steps(now.read + now.stored));
    if now.stored == 0 {
        told.with_message(format!("{} items read", now.read))
    } else {
        told.with_total(steps(2 * now.read))
            .with_message(format!("{} of {} items stored", now.stored, now.read))
    }
}
