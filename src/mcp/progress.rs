//! Progress notifications, for a request with a progress token.

use std::pin::pin;
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::Peer;
use tokio::sync::watch::Receiver;

use crate::ops::Progress;

/// The least time between two notifications.
const MIN_INTERVAL: Duration = Duration::from_millis(300);

/// Runs `work` to its end and sends its progress to the client.
pub(super) async fn run_with_progress<T>(
    peer: &Peer<RoleServer>,
    token: ProgressToken,
    mut progress: Receiver<Progress>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    loop {
        let next_change = async {
            tokio::time::sleep(MIN_INTERVAL).await;
            progress.changed().await.is_ok()
        };
        let more = tokio::select! {
                    biased;
                    done = &mut work => return done,
        more = next_change => more,
                };
        if !more {
            return work.await;
        }
        let now = *progress.borrow_and_update();
        // The work does not run during this call, so that no notification follows the answer. An error means that
        // the client has disconnected.
        peer.notify_progress(notification(token.clone(), now)).await.ok();
    }
}

/// Reading and storing an item count one step each. The total is known once all items were read.
fn notification(token: ProgressToken, now: Progress) -> ProgressNotificationParam {
    #[expect(clippy::cast_precision_loss, reason = "a count of items stays far below 2^52")]
    let steps = |count: u64| count as f64;
    let notification = ProgressNotificationParam::new(token, steps(now.read + now.stored));
    if now.stored == 0 {
        notification.with_message(format!("{} items read", now.read))
    } else {
        notification
            .with_total(steps(2 * now.read))
            .with_message(format!("{} of {} items stored", now.stored, now.read))
    }
}
