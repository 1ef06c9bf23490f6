//! A real `tasktally serve`, and a client's end of its two pipes.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;

use serde_json::{Value, json};

use super::reply::Reply;
use super::{PATIENCE, ended};

/// A server process with one client.
pub(crate) struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    unread: Option<ChildStdout>,
    lines: Option<Receiver<String>>,
    parked: HashMap<String, Value>,
    /// Requests and notifications that nobody has asked for yet.
    told: VecDeque<Value>,
    next_id: u64,
    stateless: bool,
    structured: bool,
    client: Value,
    capabilities: Value,
}

impl Server {
    /// Starts the process; nobody reads its stdout until [`Server::listen`].
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("tasktally serve starts");
        Server {
            stdin: child.stdin.take(),
            unread: child.stdout.take(),
            child,
            lines: None,
            parked: HashMap::new(),
            told: VecDeque::new(),
            next_id: 0,
            stateless: false,
            structured: true,
            client: json!({"name": "tasktally-tests", "version": "0"}),
            capabilities: json!({}),
        }
    }

    /// Begins to read what the server says.
    pub(crate) fn listen(&mut self) {
        let stdout = self.unread.take().expect("nobody listens yet");
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

    /// The legacy handshake; what the server answered.
    pub(crate) fn initialize(&mut self, version: &str) -> Value {
        let params =
            json!({"protocolVersion": version, "capabilities": self.capabilities, "clientInfo": self.client});
        // Structured replies came with 2025-06-18; older clients read the text.
        self.structured = version >= "2025-06-18";
        let answer = self.request("initialize", params);
        self.write_line(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string());
        answer["result"].clone()
    }

    /// The legacy handshake with a server that may end before it answers; whether it did.
    pub(crate) fn try_initialize(&mut self) -> bool {
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": self.client});
        let (id, line) = self.line("initialize", params);
        self.write_line(&line);
        self.write_line(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string());
        self.answer(id).is_some()
    }

    /// The legacy handshake of a client that does not read what it is answered.
    pub(crate) fn initialize_unread(&mut self) {
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": self.client});
        let (_, line) = self.line("initialize", params);
        self.write_line(&line);
        self.write_line(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string());
    }

    /// What the client can do, to be said before the handshake or with every stateless request.
    pub(crate) fn declare(&mut self, capabilities: Value) {
        self.capabilities = capabilities;
    }

    /// What the client is called.
    pub(crate) fn call_client(&mut self, name: &str) {
        self.client["name"] = name.into();
    }

    /// From now on every request carries what the stateless protocol wants, and no handshake.
    pub(crate) fn stateless(&mut self) {
        self.stateless = true;
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process's stdin, for a thread of the caller's; the server sees its end when it drops.
    pub(crate) fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("stdin is open")
    }

    /// Writes bytes as they are. A server that is gone is the caller's to notice by its answers.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        let _ = stdin.write_all(bytes).and_then(|()| stdin.flush());
    }

    /// Writes one line.
    pub(crate) fn write_line(&mut self, line: &str) {
        self.write(format!("{line}\n").as_bytes());
    }

    /// A request as it goes over the pipe, with the next id.
    pub(crate) fn line(&mut self, method: &str, mut params: Value) -> (u64, String) {
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

    /// Sends a tool call and does not wait.
    pub(crate) fn send(&mut self, tool: &str, arguments: Value) -> u64 {
        let (id, line) = self.line("tools/call", json!({"name": tool, "arguments": arguments}));
        self.write_line(&line);
        id
    }

    /// The next message of any kind; none when the server's stdout has ended.
    pub(crate) fn next_message(&mut self) -> Option<Value> {
        let line = match self.lines.as_ref().expect("listening").recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => panic!("the server said nothing for {PATIENCE:?}"),
        };
        let message: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("not the protocol on stdout: {line}"));
        assert_eq!(message["jsonrpc"], "2.0", "not the protocol on stdout: {line}");
        Some(message)
    }

    /// The answer to a request, other answers being kept; none when the server is gone.
    pub(crate) fn answer(&mut self, id: u64) -> Option<Value> {
        let wanted = id.to_string();
        loop {
            if let Some(found) = self.parked.remove(&wanted) {
                return Some(found);
            }
            let message = self.next_message()?;
            if message.get("method").is_some() {
                self.told.push_back(message);
                continue;
            }
            let twice = self.parked.insert(message["id"].to_string(), message);
            assert!(twice.is_none(), "answered twice: {twice:?}");
        }
    }

    /// The first request or notification of a method that the server sent; answers are kept.
    #[track_caller]
    pub(crate) fn hear(&mut self, method: &str) -> Value {
        loop {
            if let Some(at) = self.told.iter().position(|message| message["method"] == method) {
                return self.told.remove(at).expect("it was there");
            }
            let message = self.next_message().unwrap_or_else(|| panic!("the server ended without {method}"));
            if message.get("method").is_some() {
                self.told.push_back(message);
            } else {
                let twice = self.parked.insert(message["id"].to_string(), message);
                assert!(twice.is_none(), "answered twice: {twice:?}");
            }
        }
    }

    /// How many requests and notifications of a method came and were not asked for yet.
    pub(crate) fn unheard(&self, method: &str) -> usize {
        self.told.iter().filter(|message| message["method"] == method).count()
    }

    /// Answers a request of the server's.
    pub(crate) fn respond(&mut self, request: &Value, result: Value) {
        self.write_line(&json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string());
    }

    /// Takes back a request that waits.
    pub(crate) fn cancel(&mut self, id: u64) {
        let params = json!({"requestId": id, "reason": "changed my mind"});
        self.write_line(
            &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}).to_string(),
        );
    }

    /// Sends a request of any method and waits for its answer.
    #[track_caller]
    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        let (id, line) = self.line(method, params);
        self.write_line(&line);
        self.answer(id).unwrap_or_else(|| panic!("the server ended before it answered {method}"))
    }

    /// Waits for the reply to a tool call that was sent; none when the server is gone.
    pub(crate) fn recv(&mut self, id: u64) -> Option<Reply> {
        let structured = self.structured;
        self.answer(id).map(|answer| Reply::from_answer(&answer, structured))
    }

    /// Calls a tool.
    #[track_caller]
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Reply {
        let id = self.send(tool, arguments);
        self.recv(id).unwrap_or_else(|| panic!("the server ended before it answered {tool}"))
    }

    /// Makes a task and tells its id.
    #[track_caller]
    pub(crate) fn task(&mut self, title: &str) -> String {
        self.call("create_task", json!({"task_title": title})).ok().text("/task/id")
    }

    /// Everything that the store says of a task, its body whole.
    #[track_caller]
    pub(crate) fn look(&mut self, id: &str) -> Reply {
        self.call("get_task", json!({"id": id})).ok()
    }

    /// A task's body, however many pages it takes.
    #[track_caller]
    pub(crate) fn body(&mut self, id: &str) -> String {
        let mut pages = Vec::new();
        let mut after = Value::Null;
        loop {
            let page = self.call("get_task", json!({"id": id, "receipts_after": after})).ok();
            pages.push(page.text("/task/body"));
            after = page["next_receipts_after"].clone();
            if after.is_null() {
                return pages.join("\n\n");
            }
        }
    }

    /// Kills the process as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a process can be killed");
        self.child.wait().expect("a killed process ends");
    }

    /// Closes the server's stdin and waits until it has ended by itself.
    pub(crate) fn close(&mut self) -> ExitStatus {
        self.stdin = None;
        ended(&mut self.child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
