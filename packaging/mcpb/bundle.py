"""An MCP bundle, as a client that installs it would use it."""

import json
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent


def unpack(bundle, folder):
    """Unpacks a bundle into a folder. Returns its manifest."""
    subprocess.run([HERE / "mcpb", "unpack", bundle, folder], check=True, stdout=subprocess.DEVNULL)
    return json.loads((folder / "manifest.json").read_text())


def mcp_command(manifest, folder, settings):
    """The command of the server, with the variables of the manifest replaced."""
    variables = {"__dirname": str(folder)} | {f"user_config.{name}": value for name, value in settings.items()}
    missing = [
        name for name, setting in manifest["user_config"].items() if setting.get("required") and name not in settings
    ]
    assert not missing, f"no value for {missing}"
    config = manifest["server"]["mcp_config"]
    words = [config["command"], *config["args"]]
    for name, value in variables.items():
        words = [word.replace(f"${{{name}}}", value) for word in words]
    assert not any("${" in word for word in words), words
    return words
