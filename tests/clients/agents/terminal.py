"""A program in a terminal, by tmux."""

import subprocess
import time

from workspace import wait_until

RETRY = 3
"""Seconds after which a key is pressed again."""


class Terminal:
    """A terminal of 140 columns and 50 rows that runs a command, as a context manager."""

    def __init__(self, command, *, env, cwd, folder):
        self.command, self.env, self.cwd = command, env, str(cwd)
        # A server of its own, which no configuration of the user changes.
        self.tmux = ["tmux", "-u", "-f", "/dev/null", "-S", str(folder / "tmux")]

    def run(self, *arguments):
        ended = subprocess.run([*self.tmux, *arguments], env=self.env, capture_output=True, text=True, timeout=30)
        assert ended.returncode == 0, f"tmux {arguments}: {ended.stderr}; the program has ended"
        return ended.stdout

    def __enter__(self):
        self.run("new-session", "-d", "-x", "140", "-y", "50", "-c", self.cwd, *self.command)
        return self

    def __exit__(self, *_):
        subprocess.run([*self.tmux, "kill-server"], env=self.env, capture_output=True, timeout=30)

    def screen(self):
        """What the terminal shows."""
        return self.run("capture-pane", "-p")

    def press(self, *keys):
        """Presses keys, by their names in tmux."""
        self.run("send-keys", *keys)

    def press_until(self, key, condition):
        """Presses a key until the screen meets a condition. A program may drop a key while it draws."""
        presses = []

        def is_met():
            if condition(self.screen()):
                return True
            if not presses or time.monotonic() - presses[-1] > RETRY:
                presses.append(time.monotonic())
                self.press(key)
            return False

        wait_until(is_met, lambda: f"{key} does not change the terminal:\n{self.screen()}\n")

    def type(self, text):
        """Types a text."""
        self.run("send-keys", "-l", text)
        self.wait_for(text)

    def wait_for(self, text):
        """Waits until the terminal shows a text."""
        wait_until(lambda: text in self.screen(), lambda: f"the terminal does not show {text!r}:\n{self.screen()}\n")
