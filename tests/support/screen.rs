//! `tasktally watch` in a real terminal: a `tmux` server that only this test uses.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::eventually;
use super::store::Store;

/// One command in one terminal. The `tmux` server ends when this is dropped.
pub(crate) struct Screen {
    socket: String,
}

impl Screen {
    /// Starts `tasktally watch` in a terminal of `size` columns and rows. After its end the screen shows
    /// `ended with` and its exit code.
    pub(crate) fn watch(store: &Store, size: (u16, u16), variables: &str, args: &str) -> Screen {
        Screen::command(store, size, variables, &format!("watch {args}"))
    }

    /// Starts a command of `tasktally` in the same way.
    pub(crate) fn command(store: &Store, size: (u16, u16), variables: &str, args: &str) -> Screen {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let name = format!("tmux-{}", STARTED.fetch_add(1, Ordering::Relaxed));
        let screen = Screen { socket: store.folder().join(name).display().to_string() };
        // Found in PATH, as an installed program is: what it prints of itself does not depend on the checkout's path.
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_tasktally"));
        // In the home folder are the logs of a store in a database.
        let home = if store.is_sqlite() { store.folder().to_owned() } else { store.home() };
        let shell = format!(
            "cd '{}'; export USER=erika HOME='{}' PATH='{}':\"$PATH\" TASKTALLY_DB='{}' {variables}; tasktally {args}; echo \"ended with $?\"; exec cat",
            store.folder().display(),
            home.display(),
            program.parent().expect("a folder").display(),
            store.url(),
        );
        let (columns, rows) = (size.0.to_string(), size.1.to_string());
        screen.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &columns,
            "-y",
            &rows,
            "sh",
            "-c",
            &shell,
        ]);
        screen
    }

    /// The text on the screen.
    pub(crate) fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// The text on the screen with its colour sequences.
    pub(crate) fn coloured_text(&self) -> String {
        self.tmux(&["capture-pane", "-e", "-p"])
    }

    /// Waits until the screen contains all these texts. Returns the whole screen.
    #[track_caller]
    pub(crate) fn wait_for(&self, wanted: &[&str]) -> String {
        let mut last = String::new();
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually("the screen", || {
                last = self.text();
                wanted.iter().all(|part| last.contains(part)).then_some(())
            })
        }));
        assert!(found.is_ok(), "{wanted:?} is not on the screen:\n{last}");
        last
    }

    /// Presses keys, named as in tmux.
    pub(crate) fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Types a text.
    pub(crate) fn type_in(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    /// Changes the size of the terminal.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// From now on copies everything that is sent to the terminal into a file.
    pub(crate) fn record(&self, file: &str) {
        self.tmux(&["pipe-pane", &format!("cat > '{file}'")]);
    }

    /// The value of a tmux format such as `#{alternate_on}`.
    pub(crate) fn tmux_format(&self, format: &str) -> String {
        self.tmux(&["display-message", "-p", format]).trim().to_owned()
    }

    /// The process that the terminal's shell started.
    pub(crate) fn process(&self) -> u32 {
        let shell = self.tmux_format("#{pane_pid}");
        eventually("the process", || {
            let found = Command::new("pgrep").args(["-P", &shell]).output().ok()?;
            String::from_utf8(found.stdout).ok()?.trim().parse().ok()
        })
    }

    fn tmux(&self, args: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-u", "-S", &self.socket])
            .args(args)
            .env_remove("TMUX")
            .output()
            .expect("tmux runs");
        assert!(output.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("a screen is UTF-8")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        Command::new("tmux").args(["-S", &self.socket, "kill-server"]).output().ok();
    }
}
