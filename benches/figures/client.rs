//! A client of the real binary over a pipe.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

/// The measured program.
pub const TASKTALLY: &str = env!("CARGO_BIN_EXE_tasktally");

/// A server process and both ends of its pipe.
pub struct Client {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    line: String,
    number: u64,
}

impl Client {
    /// Starts a server on a store and does the handshake.
    pub fn start(store: &Path, name: &str) -> Result<Client> {
        Client::start_over(store, name, None)
    }

    /// The same in the store's folder, with an optional library for `LD_PRELOAD`.
    pub fn start_over(store: &Path, name: &str, preload: Option<&Path>) -> Result<Client> {
        Client::start_in(store.parent().context("a store has a folder")?, store.as_os_str(), name, preload)
    }

    /// The same on a store with this file or address, in a folder.
    pub fn start_in(folder: &Path, store: &OsStr, name: &str, preload: Option<&Path>) -> Result<Client> {
        let mut process = Command::new(TASKTALLY)
            .arg("--db")
            .arg(store)
            .arg("serve")
            .current_dir(folder)
            .envs(preload.map(|library| ("LD_PRELOAD", library)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the tasktally binary does not start")?;
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().context("no pipe")?);
        let mut client = Client { process, input, output, line: String::new(), number: 0 };
        client.request(
            "initialize",
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": name, "version": "1"}}),
        )?;
        client.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))?;
        Ok(client)
    }

    /// The process id of the server.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    fn send(&mut self, message: &Value) -> Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.input.as_mut().context("closed")?.write_all(&line)?;
        Ok(())
    }

    /// Sends a request and waits for its result.
    pub fn request(&mut self, method: &str, params: Value) -> Result<Value> {
        self.number += 1;
        let number = self.number;
        self.send(&json!({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))?;
        loop {
            self.line.clear();
            if self.output.read_line(&mut self.line)? == 0 {
                bail!("the server ended during {method}");
            }
            let mut message: Value = serde_json::from_str(&self.line)?;
            if message.get("id") != Some(&Value::from(number)) {
                continue;
            }
            return match message.get_mut("result") {
                Some(result) => Ok(result.take()),
                None => bail!("{method} was refused: {message}"),
            };
        }
    }

    /// Sends the same request many times without waiting, then reads the responses.
    pub fn request_all(&mut self, method: &str, params: &Value, times: usize) -> Result<()> {
        let mut lines = Vec::new();
        for _ in 0..times {
            self.number += 1;
            let message = json!({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params});
            serde_json::to_writer(&mut lines, &message)?;
            lines.push(b'\n');
        }
        let mut input = self.input.take().context("closed")?;
        let (output, line) = (&mut self.output, &mut self.line);
        std::thread::scope(|scope| -> Result<()> {
            let sending = scope.spawn(|| input.write_all(&lines));
            for _ in 0..times {
                line.clear();
                output.read_line(line)?;
                if !line.contains("\"success\":true") {
                    bail!("{method} was refused: {line}");
                }
            }
            sending.join().map_err(|_| anyhow!("sending panicked"))??;
            Ok(())
        })?;
        self.input = Some(input);
        Ok(())
    }

    /// Keeps a number of requests in flight for some time. Returns how many were answered.
    pub fn keep_asking(
        &mut self,
        method: &str,
        params: &Value,
        at_once: usize,
        time: Duration,
    ) -> Result<usize> {
        let start = Instant::now();
        let (mut sent, mut answered) = (0, 0);
        while answered < sent || start.elapsed() < time {
            while sent < answered + at_once && start.elapsed() < time {
                self.number += 1;
                let number = self.number;
                self.send(&json!({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))?;
                sent += 1;
            }
            self.line.clear();
            self.output.read_line(&mut self.line)?;
            if !self.line.contains("\"success\":true") {
                bail!("{method} was refused: {}", self.line);
            }
            answered += 1;
        }
        Ok(answered)
    }

    /// Calls a tool that must succeed and checks only that it did: a client that parses the whole reply would take
    /// processor time from the servers.
    pub fn call_checked(&mut self, tool: &str, arguments: &Value) -> Result<()> {
        self.number += 1;
        let params = json!({"name": tool, "arguments": arguments});
        self.send(&json!({"jsonrpc": "2.0", "id": self.number, "method": "tools/call", "params": params}))?;
        self.line.clear();
        self.output.read_line(&mut self.line)?;
        if !self.line.contains("\"success\":true") {
            bail!("{tool} was refused: {}", self.line);
        }
        Ok(())
    }

    /// Calls a tool. Returns its reply, also a refusal.
    pub fn try_call(&mut self, tool: &str, arguments: Value) -> Result<Value> {
        let mut result = self.request("tools/call", json!({"name": tool, "arguments": arguments}))?;
        if let Some(reply) = result.get_mut("structuredContent")
            && reply.is_object()
        {
            return Ok(reply.take());
        }
        let text = result.pointer("/content/0/text").and_then(Value::as_str).context("an empty reply")?;
        Ok(serde_json::from_str(text).unwrap_or_else(|_| json!({"success": false, "message": text})))
    }

    /// Calls a tool that must succeed.
    pub fn call(&mut self, tool: &str, arguments: Value) -> Result<Value> {
        let reply = self.try_call(tool, arguments)?;
        if !succeeded(&reply) {
            bail!("{tool} was refused: {reply}");
        }
        Ok(reply)
    }
}

/// Whether a reply is a success.
pub fn succeeded(reply: &Value) -> bool {
    reply.get("success") == Some(&Value::Bool(true))
}

/// The memory of a process in MiB: `VmRSS:` now, `VmHWM:` at its peak.
pub fn memory_mib(process: u32, field: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with(field)).context("no such field")?;
    let kib: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kib / 1024.0)
}

impl Drop for Client {
    fn drop(&mut self) {
        // The server ends at the end of its input.
        self.input.take();
        if self.process.wait().is_err() {
            self.process.kill().ok();
        }
    }
}
