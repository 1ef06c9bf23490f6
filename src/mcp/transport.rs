//! One JSON-RPC message per line. Unlike rmcp's own transport, this one answers malformed requests too, and stops
//! reading from a client that does not read its answers.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, ClientRequest, ErrorCode, GetMeta, ProtocolVersion, RequestId,
    ServerJsonRpcMessage,
};
use rmcp::transport::Transport;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::in_flight::InFlight;
use crate::model::exact_json::{find_repeated_key, quote_inexact_numbers};
use crate::model::json_limits::refuse_too_many_values;

/// The most bytes of an incoming line.
pub(super) const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;
/// How long the server waits, after the client closed its output, until the client has read all answers.
const FINAL_READ_TIMEOUT: Duration = Duration::from_secs(60);

struct OutgoingLine {
    line: Vec<u8>,
    after_write: AfterWrite,
}

/// What the writer does after it wrote a line.
enum AfterWrite {
    /// The line answers a request: remove the request, and free its slot if it has one.
    RemoveRequest(RequestId),
    /// The line refuses an invalid line, which used a slot: free the slot.
    FreeSlot,
    /// Inform the sender, which waits, so that messages to a client that does not read do not pile up.
    InformSender(oneshot::Sender<()>),
}

enum IncomingLine {
    Message(Box<ClientJsonRpcMessage>),
    /// An invalid line, with the JSON-RPC error that answers it.
    Invalid(Value),
    Ignored,
}

/// A transport with one JSON-RPC message per line, over any two streams.
pub(super) struct LineTransport<R> {
    input: BufReader<R>,
    /// The part of the current line that was read so far.
    line: Vec<u8>,
    /// Whether the current line is longer than allowed, so that the rest of it is skipped.
    too_long: bool,
    at_end: bool,
    /// Whether a request has opened the session.
    session_open: bool,
    /// A line that was read and waits for a slot.
    parsed: Option<IncomingLine>,
    in_flight: Arc<InFlight>,
    outgoing: Option<mpsc::UnboundedSender<OutgoingLine>>,
    writer: Option<JoinHandle<()>>,
}

impl<R: AsyncRead + Unpin + Send> LineTransport<R> {
    /// Starts the task that writes.
    pub(super) fn new(input: R, output: impl AsyncWrite + Unpin + Send + 'static) -> Self {
        let in_flight = Arc::new(InFlight::new());
        let (outgoing, queue) = mpsc::unbounded_channel();
        let writer = tokio::spawn(write_all(output, queue, in_flight.clone()));
        LineTransport {
            input: BufReader::new(input),
            line: Vec::new(),
            too_long: false,
            at_end: false,
            session_open: false,
            parsed: None,
            in_flight,
            outgoing: Some(outgoing),
            writer: Some(writer),
        }
    }

    /// The requests in flight on this transport.
    pub(super) fn in_flight(&self) -> Arc<InFlight> {
        self.in_flight.clone()
    }

    /// The next line, or `None` at the end. If the future is dropped while it waits, no input is lost.
    async fn next_line(&mut self) -> std::io::Result<Option<IncomingLine>> {
        loop {
            let chunk = self.input.fill_buf().await?;
            if chunk.is_empty() {
                // The last line may lack its line end.
                if std::mem::take(&mut self.too_long) {
                    return Ok(Some(line_too_long()));
                }
                let rest = std::mem::take(&mut self.line);
                return Ok((!rest.is_empty()).then(|| parse_line(&rest)));
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let length = end.unwrap_or(chunk.len());
            if !self.too_long {
                if self.line.len() + length > MAX_LINE_BYTES {
                    self.too_long = true;
                    self.line = Vec::new();
                } else {
                    self.line.extend_from_slice(&chunk[..length]);
                }
            }
            self.input.consume(end.map_or(length, |end| end + 1));
            if end.is_none() {
                continue;
            }
            if std::mem::take(&mut self.too_long) {
                return Ok(Some(line_too_long()));
            }
            let line = parse_line(&self.line);
            self.in_flight.set_more_input(self.input.buffer().contains(&b'\n'));
            self.line.clear();
            if self.line.capacity() > 1024 * 1024 {
                self.line = Vec::new();
            }
            return Ok(Some(line));
        }
    }

    fn write(&self, message: &impl serde::Serialize, after_write: AfterWrite) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        let queue = self.outgoing.as_ref().ok_or_else(client_stopped_reading)?;
        queue.send(OutgoingLine { line, after_write }).map_err(|_| client_stopped_reading())
    }
}

impl<R: AsyncRead + Unpin + Send + 'static> Transport<RoleServer> for LineTransport<R> {
    type Error = std::io::Error;

    fn send(
        &mut self,
        item: ServerJsonRpcMessage,
    ) -> impl Future<Output = std::io::Result<()>> + Send + 'static {
        let answered_request = match &item {
            ServerJsonRpcMessage::Response(response) => Some(response.id.clone()),
            ServerJsonRpcMessage::Error(error) => error.id.clone(),
            _ => None,
        };
        let (after_write, written) = match answered_request {
            Some(id) => (AfterWrite::RemoveRequest(id), None),
            None => {
                let (sender, written) = oneshot::channel();
                (AfterWrite::InformSender(sender), Some(written))
            }
        };
        let queued = self.write(&item, after_write);
        async move {
            queued?;
            match written {
                Some(written) => written.await.map_err(|_| client_stopped_reading()),
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
                // The client closed its output. Requests that are being processed are still answered.
                let answered = self.in_flight.drain();
                if tokio::time::timeout(FINAL_READ_TIMEOUT, answered).await.is_err() {
                    tracing::warn!("the client does not read its last answers");
                }
                return None;
            }
            let needs_slot = match &self.parsed {
                Some(IncomingLine::Message(message)) => matches!(**message, ClientJsonRpcMessage::Request(_)),
                Some(IncomingLine::Invalid(_)) => true,
                _ => false,
            };
            if needs_slot {
                self.in_flight.acquire_slot().await?;
            }
            match self.parsed.take() {
                Some(IncomingLine::Invalid(message)) => self.write(&message, AfterWrite::FreeSlot).ok()?,
                Some(IncomingLine::Message(message)) => match *message {
                    ClientJsonRpcMessage::Request(request) => {
                        if self.in_flight.add(&request.id) {
                            self.session_open = self.session_open || opens_session(&request.request);
                            return Some(ClientJsonRpcMessage::Request(request));
                        }
                        let text = format!(
                            "id {} is the id of a request that is not answered yet; use another id",
                            request.id
                        );
                        self.write(
                            &error_response(None, ErrorCode::INVALID_REQUEST, &text),
                            AfterWrite::FreeSlot,
                        )
                        .ok()?;
                    }
                    // Only waiting requests can be cancelled. Any other takes milliseconds and may be committed
                    // already, so it is answered.
                    ClientJsonRpcMessage::Notification(notification)
                        if cancelled_request(&notification.notification)
                            .is_some_and(|id| !id.is_some_and(|id| self.in_flight.cancel(id))) => {}
                    // Ignored before a session is open: rmcp would end the connection.
                    other if self.session_open => return Some(other),
                    _ => {}
                },
                Some(IncomingLine::Ignored) | None => {}
            }
        }
    }

    async fn close(&mut self) -> std::io::Result<()> {
        self.outgoing.take();
        if let Some(writer) = self.writer.take()
            && tokio::time::timeout(Duration::from_secs(5), writer).await.is_err()
        {
            tracing::warn!("the client did not read its last answers");
        }
        Ok(())
    }
}

/// Writes the queued lines in order. If the client no longer reads, ends the session.
async fn write_all(
    mut output: impl AsyncWrite + Unpin,
    mut queue: mpsc::UnboundedReceiver<OutgoingLine>,
    in_flight: Arc<InFlight>,
) {
    while let Some(outgoing) = queue.recv().await {
        // Remove the request before the client can see the answer, because it may use the id again at once.
        let frees_slot = match &outgoing.after_write {
            AfterWrite::RemoveRequest(id) => in_flight.remove(id),
            AfterWrite::FreeSlot => true,
            AfterWrite::InformSender(_) => false,
        };
        let written = async {
            output.write_all(&outgoing.line).await?;
            if queue.is_empty() { output.flush().await } else { Ok(()) }
        };
        if let Err(error) = written.await {
            tracing::info!(%error, "the client no longer reads");
            in_flight.close();
            return;
        }
        if frees_slot {
            in_flight.free_slot();
        }
        if let AfterWrite::InformSender(sender) = outgoing.after_write {
            // An error means that the sender no longer waits.
            sender.send(()).ok();
        }
    }
    if let Err(error) = output.flush().await {
        tracing::info!(%error, "the client no longer reads");
    }
}

/// Whether a request opens the session. Until one does, rmcp ends the connection at any message that is not a request.
fn opens_session(request: &ClientRequest) -> bool {
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

/// For a notification that cancels a request: the id of the request, if it names one.
fn cancelled_request(notification: &ClientNotification) -> Option<Option<&RequestId>> {
    match notification {
        ClientNotification::CancelledNotification(cancelled) => Some(cancelled.params.request_id.as_ref()),
        _ => None,
    }
}

fn client_stopped_reading() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::BrokenPipe, "the client no longer reads")
}

/// A JSON-RPC error. rmcp's own type omits an unknown id, but JSON-RPC requires `null`.
fn error_response(id: Option<&RequestId>, code: ErrorCode, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code.0, "message": message } })
}

fn line_too_long() -> IncomingLine {
    let message =
        format!("a line is longer than the allowed {MAX_LINE_BYTES} bytes; send less in one message");
    IncomingLine::Invalid(error_response(None, ErrorCode::INVALID_REQUEST, &message))
}

/// The answer to a line with too many values. Only the id is read from it.
fn too_many_values(line: &[u8], reason: &str) -> IncomingLine {
    #[derive(Deserialize)]
    struct Envelope {
        id: RequestId,
    }
    let id = serde_json::from_slice::<Envelope>(line).ok().map(|envelope| envelope.id);
    let message = format!("the line has {reason}");
    IncomingLine::Invalid(error_response(id.as_ref(), ErrorCode::INVALID_REQUEST, &message))
}

/// The line with numbers that would lose digits as the strings of their digits.
fn without_loss(line: &[u8]) -> Cow<'_, [u8]> {
    let Ok(text) = str::from_utf8(line) else { return line.into() };
    match quote_inexact_numbers(text) {
        // A quote could turn an invalid line into a valid one.
        Cow::Owned(quoted) if serde_json::from_str::<IgnoredAny>(text).is_ok() => quoted.into_bytes().into(),
        _ => line.into(),
    }
}

/// Refuses a request in which an object repeats a key: one of the two values would be dropped silently.
fn refuse_repeated_key(line: &[u8], message: ClientJsonRpcMessage) -> IncomingLine {
    let repeated = str::from_utf8(line).ok().and_then(find_repeated_key);
    match (repeated, message) {
        (Some(reason), ClientJsonRpcMessage::Request(request)) => {
            let message = format!("Invalid params: {reason}");
            IncomingLine::Invalid(error_response(Some(&request.id), ErrorCode::INVALID_PARAMS, &message))
        }
        (_, message) => IncomingLine::Message(Box::new(message)),
    }
}

fn parse_line(line: &[u8]) -> IncomingLine {
    let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
    if line.iter().all(u8::is_ascii_whitespace) {
        return IncomingLine::Ignored;
    }
    if let Some(reason) = refuse_too_many_values(line) {
        return too_many_values(line, &reason);
    }
    let exact = without_loss(line);
    let line = &*exact;
    let reason = match serde_json::from_slice::<ClientJsonRpcMessage>(line) {
        Ok(message) => return refuse_repeated_key(line, message),
        Err(error) => error,
    };
    let Ok(value) = serde_json::from_slice::<Value>(line) else {
        return IncomingLine::Invalid(error_response(
            None,
            ErrorCode::PARSE_ERROR,
            &format!("Parse error: {reason}"),
        ));
    };
    let has_id = value.get("id").is_some();
    let id = value.get("id").cloned().and_then(|id| serde_json::from_value(id).ok());
    if value.get("method").is_some_and(Value::is_string) && !has_id {
        return IncomingLine::Ignored;
    }
    let message = "Invalid Request: send a JSON-RPC 2.0 object with jsonrpc, id, method and params; JSON-RPC batches are not supported";
    IncomingLine::Invalid(error_response(id.as_ref(), ErrorCode::INVALID_REQUEST, message))
}
