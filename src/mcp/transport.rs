//! Lines in, lines out, with what rmcp's own transport leaves to its user: every request is
//! answered, garbage too, and a client that does not read is not read from.

use std::sync::Arc;
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, ClientRequest, ErrorCode, GetMeta, ProtocolVersion, RequestId,
    ServerJsonRpcMessage,
};
use rmcp::transport::Transport;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::in_flight::InFlight;

/// The longest line.
pub(super) const LONGEST_LINE: usize = 16 * 1024 * 1024;
/// How long a client that closed its input may take to read what is still owed to it.
const LAST_ANSWERS: Duration = Duration::from_secs(60);

/// A line to write.
struct Answer {
    line: Vec<u8>,
    ends: Ends,
}

/// What ends when a line is written.
enum Ends {
    /// A request: it frees its slot, if it has one.
    Request(RequestId),
    /// A line that was no request, but took a slot.
    Refused,
    /// The wait of whoever sent it: nothing piles up for a client that doesn't read.
    Sending(oneshot::Sender<()>),
}

/// What a line turned out to be.
enum Line {
    Message(Box<ClientJsonRpcMessage>),
    /// An error, as JSON-RPC words it.
    Refused(Value),
    Ignored,
}

/// A JSON-RPC message a line, over any two streams.
pub(super) struct Lines<R> {
    read: BufReader<R>,
    line: Vec<u8>,
    too_long: bool,
    at_end: bool,
    opened: bool,
    parsed: Option<Line>,
    in_flight: Arc<InFlight>,
    answers: Option<mpsc::UnboundedSender<Answer>>,
    writer: Option<JoinHandle<()>>,
}

impl<R: AsyncRead + Unpin + Send> Lines<R> {
    /// Starts the task that writes.
    pub(super) fn new(read: R, write: impl AsyncWrite + Unpin + Send + 'static) -> Self {
        let in_flight = Arc::new(InFlight::new());
        let (answers, queue) = mpsc::unbounded_channel();
        let writer = tokio::spawn(write_all(write, queue, in_flight.clone()));
        Lines {
            read: BufReader::new(read),
            line: Vec::new(),
            too_long: false,
            at_end: false,
            opened: false,
            parsed: None,
            in_flight,
            answers: Some(answers),
            writer: Some(writer),
        }
    }

    /// What is in flight on this transport.
    pub(super) fn in_flight(&self) -> Arc<InFlight> {
        self.in_flight.clone()
    }

    /// The next line, or nothing at the end. Nothing is lost where it is dropped while waiting.
    async fn next_line(&mut self) -> std::io::Result<Option<Line>> {
        loop {
            let chunk = self.read.fill_buf().await?;
            if chunk.is_empty() {
                // What a client wrote last counts without its line end, too.
                if std::mem::take(&mut self.too_long) {
                    return Ok(Some(too_long()));
                }
                let rest = std::mem::take(&mut self.line);
                return Ok((!rest.is_empty()).then(|| read_line(&rest)));
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let take = end.unwrap_or(chunk.len());
            if !self.too_long {
                if self.line.len() + take > LONGEST_LINE {
                    self.too_long = true;
                    self.line = Vec::new();
                } else {
                    self.line.extend_from_slice(&chunk[..take]);
                }
            }
            self.read.consume(end.map_or(take, |end| end + 1));
            if end.is_none() {
                continue;
            }
            if std::mem::take(&mut self.too_long) {
                return Ok(Some(too_long()));
            }
            let line = read_line(&self.line);
            self.in_flight.more_came(self.read.buffer().contains(&b'\n'));
            self.line.clear();
            if self.line.capacity() > 1024 * 1024 {
                self.line = Vec::new();
            }
            return Ok(Some(line));
        }
    }

    fn write(&self, message: &impl serde::Serialize, ends: Ends) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.answers.as_ref().ok_or_else(unread)?.send(Answer { line, ends }).map_err(|_| unread())
    }
}

impl<R: AsyncRead + Unpin + Send + 'static> Transport<RoleServer> for Lines<R> {
    type Error = std::io::Error;

    fn send(
        &mut self,
        item: ServerJsonRpcMessage,
    ) -> impl Future<Output = std::io::Result<()>> + Send + 'static {
        let answered = match &item {
            ServerJsonRpcMessage::Response(response) => Some(response.id.clone()),
            ServerJsonRpcMessage::Error(error) => error.id.clone(),
            _ => None,
        };
        let (ends, sent) = match answered {
            Some(id) => (Ends::Request(id), None),
            None => {
                let (sender, sent) = oneshot::channel();
                (Ends::Sending(sender), Some(sent))
            }
        };
        let queued = self.write(&item, ends);
        async move {
            queued?;
            match sent {
                Some(sent) => sent.await.map_err(|_| unread()),
                None => Ok(()),
            }
        }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            if self.parsed.is_none() && !self.at_end {
                match self.next_line().await {
                    Ok(Some(line)) => self.parsed = Some(line),
                    Ok(None) => self.at_end = true,
                    Err(error) => {
                        tracing::error!(%error, "standard input cannot be read");
                        self.at_end = true;
                    }
                }
            }
            if self.at_end && self.parsed.is_none() {
                // The client has gone: what it asked for is finished and answered first.
                let answered = self.in_flight.client_goes();
                if tokio::time::timeout(LAST_ANSWERS, answered).await.is_err() {
                    tracing::warn!("the client does not read its last answers");
                }
                return None;
            }
            let needs_slot = match &self.parsed {
                Some(Line::Message(message)) => matches!(**message, ClientJsonRpcMessage::Request(_)),
                Some(Line::Refused(_)) => true,
                _ => false,
            };
            if needs_slot {
                self.in_flight.take_slot().await?;
            }
            match self.parsed.take() {
                Some(Line::Refused(message)) => self.write(&message, Ends::Refused).ok()?,
                Some(Line::Message(message)) => match *message {
                    ClientJsonRpcMessage::Request(request) => {
                        if self.in_flight.enter(&request.id) {
                            self.opened = self.opened || opens(&request.request);
                            return Some(ClientJsonRpcMessage::Request(request));
                        }
                        let text = format!(
                            "id {} belongs to a request that is not answered yet; use another",
                            request.id
                        );
                        self.write(&refused(None, ErrorCode::INVALID_REQUEST, &text), Ends::Refused).ok()?;
                    }
                    // What was asked for is done in milliseconds and perhaps committed: it is answered, not
                    // cancelled, unless it waits aside.
                    ClientJsonRpcMessage::Notification(notification)
                        if cancels(&notification.notification)
                            .is_some_and(|id| !id.is_some_and(|id| self.in_flight.cancel(id))) => {}
                    // Before the session is opened there is nothing that they could belong to.
                    other if self.opened => return Some(other),
                    _ => {}
                },
                Some(Line::Ignored) | None => {}
            }
        }
    }

    async fn close(&mut self) -> std::io::Result<()> {
        self.answers.take();
        if let Some(writer) = self.writer.take()
            && tokio::time::timeout(Duration::from_secs(5), writer).await.is_err()
        {
            tracing::warn!("the client did not read its last answers");
        }
        Ok(())
    }
}

/// Writes answers in turn and frees their slots; where the client no longer reads, ends the session.
async fn write_all(
    mut write: impl AsyncWrite + Unpin,
    mut queue: mpsc::UnboundedReceiver<Answer>,
    in_flight: Arc<InFlight>,
) {
    while let Some(answer) = queue.recv().await {
        // The id is free before the client can have seen the answer and use it again.
        let frees_slot = match &answer.ends {
            Ends::Request(id) => in_flight.leave(id),
            Ends::Refused => true,
            Ends::Sending(_) => false,
        };
        let written = async {
            write.write_all(&answer.line).await?;
            if queue.is_empty() { write.flush().await } else { Ok(()) }
        };
        if let Err(error) = written.await {
            tracing::info!(%error, "the client no longer reads");
            in_flight.close();
            return;
        }
        if frees_slot {
            in_flight.free_slot();
        }
        if let Ends::Sending(sender) = answer.ends {
            // Who sent it may have gone meanwhile.
            sender.send(()).ok();
        }
    }
    if let Err(error) = write.flush().await {
        tracing::info!(%error, "the client no longer reads");
    }
}

/// Whether a request opens the session: until one does, rmcp takes anything that is no request for the end.
fn opens(request: &ClientRequest) -> bool {
    match request {
        ClientRequest::InitializeRequest(_) => true,
        ClientRequest::PingRequest(_) | ClientRequest::DiscoverRequest(_) => false,
        other => {
            let meta = other.get_meta();
            meta.missing_required_keys(&ProtocolVersion::V_2026_07_28).is_empty()
                && meta
                    .protocol_version()
                    .is_some_and(|version| ProtocolVersion::KNOWN_VERSIONS.contains(&version))
        }
    }
}

/// The request that a notification cancels, where it is one that cancels.
fn cancels(notification: &ClientNotification) -> Option<Option<&RequestId>> {
    match notification {
        ClientNotification::CancelledNotification(cancelled) => Some(cancelled.params.request_id.as_ref()),
        _ => None,
    }
}

fn unread() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::BrokenPipe, "the client no longer reads")
}

/// An error answer; rmcp's own leaves out an id that isn't known, JSON-RPC wants it null.
fn refused(id: Option<&RequestId>, code: ErrorCode, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code.0, "message": message } })
}

/// The refusal of a line that nobody keeps in memory.
fn too_long() -> Line {
    let message = format!("a line is longer than {LONGEST_LINE} bytes; send less at once");
    Line::Refused(refused(None, ErrorCode::INVALID_REQUEST, &message))
}

fn read_line(line: &[u8]) -> Line {
    let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
    if line.iter().all(u8::is_ascii_whitespace) {
        return Line::Ignored;
    }
    let reason = match serde_json::from_slice::<ClientJsonRpcMessage>(line) {
        Ok(message) => return Line::Message(Box::new(message)),
        Err(error) => error,
    };
    let Ok(value) = serde_json::from_slice::<Value>(line) else {
        return Line::Refused(refused(None, ErrorCode::PARSE_ERROR, &format!("Parse error: {reason}")));
    };
    let has_id = value.get("id").is_some();
    let id = value.get("id").cloned().and_then(|id| serde_json::from_value(id).ok());
    if value.get("method").is_some_and(Value::is_string) && !has_id {
        return Line::Ignored;
    }
    let message = "Invalid Request: a JSON-RPC 2.0 object with jsonrpc, id, method and params is expected; batches are not supported";
    Line::Refused(refused(id.as_ref(), ErrorCode::INVALID_REQUEST, message))
}
