"""The Anthropic Messages API, as Claude Code uses it."""

import json

from scripted_model import Event, ScriptedModel


class AnthropicModel(ScriptedModel):
    def is_model_call(self, path):
        return path == "/v1/messages"

    def is_scripted(self, request):
        return bool(request.get("tools"))

    def history(self, request):
        for message in request["messages"]:
            content = message["content"]
            for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
                if block["type"] == "tool_use":
                    yield Event("called", identifier=block["id"])
                elif block["type"] == "tool_result":
                    yield Event("result", result_text(block["content"]), block["tool_use_id"])
                elif block["type"] == "text":
                    yield Event("said" if message["role"] == "assistant" else "text", block["text"])

    def offered(self, request):
        return [tool["name"] for tool in request["tools"]]

    def answer(self, turn, request):
        # Unique within the conversation, as the messages are.
        number = len(request["messages"])
        message = {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "model": request["model"],
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
        yield {"type": "message_start", "message": message}
        for index, (start, delta) in enumerate(blocks(turn, number)):
            yield {"type": "content_block_start", "index": index, "content_block": start}
            yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
        end = {"stop_reason": "tool_use" if turn.calls else "end_turn", "stop_sequence": None}
        yield {"type": "message_delta", "delta": end, "usage": {"output_tokens": 1}}
        yield {"type": "message_stop"}


def blocks(turn, number):
    """The content of a message: how each block starts, and all of the rest."""
    if turn.text:
        yield {"type": "text", "text": ""}, {"type": "text_delta", "text": turn.text}
    for index, one in enumerate(turn.calls):
        start = {"type": "tool_use", "id": f"toolu_{number}_{index}", "name": one.tool, "input": {}}
        yield start, {"type": "input_json_delta", "partial_json": json.dumps(one.arguments)}


def result_text(content):
    """The text of a tool's result. Blocks of other kinds are written as JSON."""
    if isinstance(content, str):
        return content
    return "".join(block["text"] if block["type"] == "text" else json.dumps(block) for block in content)
