"""Compares the tools that a client shows its model with those of the server."""

import json


def assert_whole(shown, tools):
    """Each shown tool (name, description, schema) has the server's description, parameters and descriptions of them.

    Returns the bytes of what the model reads.
    """
    assert shown, "the client showed no tool of the server"
    for name, description, schema in shown:
        ours = tools[name]
        assert description == ours["description"], f"{name} is shown as {description!r}"
        parameters, expected = schema["properties"], ours["inputSchema"]["properties"]
        assert parameters.keys() == expected.keys(), f"{name} is shown with the parameters {parameters.keys()}"
        for parameter, declared in expected.items():
            seen = parameters[parameter]
            for part in ("type", "description", "enum"):
                assert seen.get(part) == declared.get(part), f"{name}.{parameter}: {part} is shown as {seen}"
    return sum(len(json.dumps(one, ensure_ascii=False).encode()) for one in shown)


def instructions_of(workspace):
    """The instructions that the server sent."""
    return next(result["instructions"] for result in workspace.results() if "instructions" in result)


def assert_shown(text, request):
    """The request contains the whole text in one of its strings."""
    assert json.dumps(text)[1:-1] in json.dumps(request), f"the client does not show its model all of: {text}"
