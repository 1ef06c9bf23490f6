//! A real `tasktally serve` process and the client's end of its two pipes.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;

use serde_json::{Value, json};

use super::output_schemas::assert_valid;
use super::reply::Reply;
use super::{PATIENCE, wait_for_exit};

/// A server process and its only client.
pub(crate) struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    /// The server's stdout until [`Server::start_reading`].
    stdout: Option<ChildStdout>,
    lines: Option<Receiver<String>>,
    /// Responses that came before the test asked for them, by request id.
    responses: HashMap<String, Value>,
    /// Requests and notifications of the server that the test has not asked for yet.
    incoming: VecDeque<Value>,
    next_id: u64,
    /// The tool of each call that is not answered yet, by request id.
    called: HashMap<u64, String>,
    stateless: bool,
    structured: bool,
    client: Value,
    capabilities: Value,
}

impl Server {
    /// Starts the process. Its stdout is not read before [`Server::start_reading`].
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("tasktally serve starts");
        Server {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            child,
            lines: None,
            responses: HashMap::new(),
            incoming: VecDeque::new(),
            next_id: 0,
            called: HashMap::new(),
            stateless: false,
            structured: true,
            client: json!({"name": "tasktally-tests", "version": "0"}),
            capabilities: json!({}),
        }
    }

    /// Starts a thread that reads the server's stdout.
    pub(crate) fn start_reading(&mut self) {
        let stdout = self.stdout.take().expect("stdout is not read yet");
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { break };
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        self.lines = Some(receiver);
    }

    /// The handshake of the protocol before 2026-07-28. Returns the server's result.
    pub(crate) fn initialize(&mut self, version: &str) -> Value {
        let params =
            json!({"protocolVersion": version, "capabilities": self.capabilities, "clientInfo": self.client});
        // Structured replies exist since 2025-06-18; older clients read the text.
        self.structured = version >= "2025-06-18";
        let answer = self.request("initialize", params);
        self.write_line(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string());
        answer["result"].clone()
    }

    /// The handshake with a server that may end before it answers. Returns whether it answered.
    pub(crate) fn try_initialize(&mut self) -> bool {
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": self.client});
        let (id, line) = self.encode_request("initialize", params);
        self.write_line(&line);
        self.write_line(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string());
        self.answer(id).is_some()
    }

    /// The handshake of a client that does not read the response.
    pub(crate) fn initialize_without_reading(&mut self) {
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": self.client});
        let (_, line) = self.encode_request("initialize", params);
        self.write_line(&line);
        self.write_line(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string());
    }

    /// Sets the capabilities that the client sends in the handshake or with every stateless request.
    pub(crate) fn declare_capabilities(&mut self, capabilities: Value) {
        self.capabilities = capabilities;
    }

    /// Sets the name that the client sends.
    pub(crate) fn set_client_name(&mut self, name: &str) {
        self.client["name"] = name.into();
    }

    /// Switches to the stateless protocol 2026-07-28: no handshake, and its metadata in every request.
    pub(crate) fn stateless(&mut self) {
        self.stateless = true;
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process's stdin, for another thread. The server sees end of file when it is dropped.
    pub(crate) fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("stdin is open")
    }

    /// Writes bytes unchanged. If the server has ended, the caller notices by the missing responses.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        let _ = stdin.write_all(bytes).and_then(|()| stdin.flush());
    }

    /// Writes one line.
    pub(crate) fn write_line(&mut self, line: &str) {
        self.write(format!("{line}\n").as_bytes());
    }

    /// A request with the next id, as one line of JSON without its line end.
    pub(crate) fn encode_request(&mut self, method: &str, mut params: Value) -> (u64, String) {
        self.next_id += 1;
        if self.stateless {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": self.client,
                "io.modelcontextprotocol/clientCapabilities": self.capabilities,
            });
        }
        let request = json!({"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params});
        (self.next_id, request.to_string())
    }

    /// Sends a tool call without waiting. Returns the request id.
    pub(crate) fn send(&mut self, tool: &str, arguments: Value) -> u64 {
        let (id, line) = self.encode_request("tools/call", json!({"name": tool, "arguments": arguments}));
        self.write_line(&line);
        self.called.insert(id, tool.to_owned());
        id
    }

    /// The reply in an answer. A reply that is no error is as the tool's output schema says.
    fn reply_of(&mut self, id: u64, answer: &Value) -> Reply {
        let reply = Reply::from_answer(answer, self.structured);
        if let Some(tool) = self.called.remove(&id)
            && !reply.is_error
        {
            assert_valid(&tool, &reply.value);
        }
        reply
    }

    /// The next message of any kind; none if the server's stdout has ended.
    pub(crate) fn next_message(&mut self) -> Option<Value> {
        match self.lines.as_ref().expect("stdout is read").recv_timeout(PATIENCE) {
            Ok(line) => Some(parse_message(&line)),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the server wrote nothing for {PATIENCE:?}"),
        }
    }

    /// Keeps a message until the test asks for it.
    fn keep(&mut self, message: Value) {
        if message.get("method").is_some() {
            self.incoming.push_back(message);
        } else {
            let twice = self.responses.insert(message["id"].to_string(), message);
            assert!(twice.is_none(), "answered twice: {twice:?}");
        }
    }

    /// The response to a request; none if the server has ended. Other messages are kept for later.
    pub(crate) fn answer(&mut self, id: u64) -> Option<Value> {
        let wanted = id.to_string();
        loop {
            if let Some(found) = self.responses.remove(&wanted) {
                return Some(found);
            }
            let message = self.next_message()?;
            self.keep(message);
        }
    }

    /// The first request or notification of a method from the server. Other messages are kept for later.
    #[track_caller]
    pub(crate) fn receive(&mut self, method: &str) -> Value {
        loop {
            if let Some(index) = self.incoming.iter().position(|message| message["method"] == method) {
                return self.incoming.remove(index).expect("the index exists");
            }
            let message = self.next_message().unwrap_or_else(|| panic!("the server ended without {method}"));
            self.keep(message);
        }
    }

    /// How many requests and notifications of a method are waiting in [`Server::receive`]'s queue.
    pub(crate) fn unread_count(&self, method: &str) -> usize {
        self.incoming.iter().filter(|message| message["method"] == method).count()
    }

    /// Answers a request of the server.
    pub(crate) fn respond(&mut self, request: &Value, result: Value) {
        self.write_line(&json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string());
    }

    /// Cancels a request.
    pub(crate) fn cancel(&mut self, id: u64) {
        let params = json!({"requestId": id, "reason": "no longer needed"});
        self.write_line(
            &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}).to_string(),
        );
    }

    /// Sends a request of any method and waits for the response.
    #[track_caller]
    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        let (id, line) = self.encode_request(method, params);
        self.write_line(&line);
        self.answer(id).unwrap_or_else(|| panic!("the server ended before it answered {method}"))
    }

    /// Waits for the reply to a tool call that was sent; none if the server has ended.
    pub(crate) fn recv(&mut self, id: u64) -> Option<Reply> {
        self.answer(id).map(|answer| self.reply_of(id, &answer))
    }

    /// The reply to a tool call that was sent, if it has arrived.
    pub(crate) fn try_recv(&mut self, id: u64) -> Option<Reply> {
        while let Ok(line) = self.lines.as_ref().expect("stdout is read").try_recv() {
            self.keep(parse_message(&line));
        }
        let answer = self.responses.remove(&id.to_string())?;
        Some(self.reply_of(id, &answer))
    }

    /// Calls a tool and waits for the reply.
    #[track_caller]
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Reply {
        let id = self.send(tool, arguments);
        self.recv(id).unwrap_or_else(|| panic!("the server ended before it answered {tool}"))
    }

    /// Creates a task. Returns its id.
    #[track_caller]
    pub(crate) fn create_task(&mut self, title: &str) -> String {
        self.call("create_task", json!({"task_title": title})).ok().text("/task/id")
    }

    /// The reply of `get_task`.
    #[track_caller]
    pub(crate) fn read_task(&mut self, id: &str) -> Reply {
        self.call("get_task", json!({"id": id})).ok()
    }

    /// The initial text of a task, if it has one, and the texts of its receipts, with blank lines between them.
    #[track_caller]
    pub(crate) fn body(&mut self, id: &str) -> String {
        self.texts(id).join("\n\n")
    }

    /// The initial text of a task, if it has one, and the texts of its receipts, read page by page.
    #[track_caller]
    pub(crate) fn texts(&mut self, id: &str) -> Vec<String> {
        let mut texts = Vec::new();
        let mut after = json!(0);
        loop {
            let page = self.call("get_task", json!({"id": id, "receipts_after": after})).ok();
            if after == 0 {
                let initial = page["task"]["initial_text"].as_str().map(str::to_owned);
                texts.push(initial.unwrap_or_else(|| self.part(id, "initial_text")));
            }
            for receipt in page["task"]["receipts"].as_array().expect("receipts") {
                let text = receipt["text"].as_str().map(str::to_owned);
                texts.push(text.unwrap_or_else(|| self.part(id, &format!("receipt {}", receipt["number"]))));
            }
            after = page["next_receipts_after"].clone();
            if after.is_null() {
                let skipped = usize::from(texts[0].is_empty());
                return texts.split_off(skipped);
            }
        }
    }

    /// A part of a task, read page by page.
    #[track_caller]
    pub(crate) fn part(&mut self, id: &str, part: &str) -> String {
        let mut text = String::new();
        let mut offset = json!(0);
        loop {
            let page = self.call("get_task", json!({"id": id, "part": part, "offset": offset})).ok();
            text += &page.text("/part/text");
            offset = page["part"]["next_offset"].clone();
            if offset.is_null() {
                assert_eq!(text.len() as u64, page.count("/part/bytes"));
                return text;
            }
        }
    }

    /// Kills the process (SIGKILL).
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a process can be killed");
        self.child.wait().expect("a killed process ends");
    }

    /// Closes the server's stdin and waits for the process to end by itself.
    pub(crate) fn close(&mut self) -> ExitStatus {
        self.stdin = None;
        wait_for_exit(&mut self.child)
    }
}

/// A line of the server as a JSON-RPC message.
fn parse_message(line: &str) -> Value {
    let message: Value =
        serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON-RPC on stdout: {line}"));
    assert_eq!(message["jsonrpc"], "2.0", "not JSON-RPC on stdout: {line}");
    message
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
