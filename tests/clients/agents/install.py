"""Ways to connect a client to the server as a user would: the plugin of this project, and `tasktally init`."""

import json
import os
import subprocess
import sys
from pathlib import Path

from scripted_model import Turn, call
from workspace import HERE, PATIENCE, Workspace, checked

REPOSITORY = HERE.parents[2]
PROMPT = "Write down that the mail has to be archived."
TITLE = "Archive the mail"
LAST_WORDS = "The task is written down."
SKILLS = ["batch-processing", "batch-status", "process-all"]
"""The skills of the plugin."""


class UserWorkspace(Workspace):
    """A workspace with the store where the server keeps it by default. `bin` is a folder of programs."""

    def __enter__(self):
        super().__enter__()
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        self.server_env = {"TASKTALLY_DB": str(self.home / ".local" / "share" / "tasktally" / "tasktally.db")}
        return self

    def output(self, *command, env):
        """All that a command of the client prints. It must succeed."""
        quiet = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
        return checked(command, env=env, cwd=self.project, timeout=2 * PATIENCE, **quiet)


class Installed(UserWorkspace):
    """A workspace with `tasktally` in `PATH`."""

    def __enter__(self):
        super().__enter__()
        (self.bin / "tasktally").symlink_to(self.tasktally)
        return self

    def client_env(self, **variables):
        env = super().client_env(**variables)
        return env | {"PATH": f"{self.bin}{os.pathsep}{env['PATH']}"}

    def init(self, client, *arguments, env):
        """What `tasktally init --write` prints. It finds the client's files by the client's own environment."""
        words = [self.tasktally, "init", client, "--write", *arguments]
        return checked(words, env=env, cwd=self.project, timeout=PATIENCE)

    def plugin(self):
        """The folder of the plugin, as `packaging/plugin/build` makes it."""
        version = self.tasktally_command("--version").split()[1]
        build = [REPOSITORY / "packaging" / "plugin" / "build"]
        checked(build, env=os.environ | {"VERSION": version, "OUT": str(self.folder)}, timeout=PATIENCE)
        return str(self.folder / "plugin")

    def assert_called(self):
        """The client's model has created the task. The next client begins with an empty store."""
        tasks = json.loads(self.tasktally_command("list-tasks", "--json"))["tasks"]
        assert [task["title"] for task in tasks] == [TITLE], tasks
        for file in Path(self.server_env["TASKTALLY_DB"]).parent.glob("tasktally.db*"):
            file.unlink()


def job(*, before=()):
    """Creates a task, after the turns `before`."""

    def script():
        for turn in before:
            yield turn
        created = (yield call("create_task", task_title=TITLE)).json()
        assert created["success"], created
        yield Turn(LAST_WORDS)

    return script


def skill_text(name):
    """A skill without its header."""
    text = (REPOSITORY / "packaging" / "plugin" / "skills" / name / "SKILL.md").read_text()
    return text.split("---\n", 2)[2].strip()


def assert_skills_shown(request):
    """The model reads the name and the description of each skill of the plugin."""
    request = json.dumps(request, ensure_ascii=False)
    for name in SKILLS:
        assert name in request, f"the client does not show the skill {name}"


def run_cases(cases):
    """Runs functions that take the paths of the command line, and prints what each returns."""
    for case in cases:
        print(f"{Path(sys.argv[0]).stem}: {case(*sys.argv[1:])}")
