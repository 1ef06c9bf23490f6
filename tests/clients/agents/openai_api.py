"""The OpenAI Responses API, as Codex uses it. Tools of a server form a namespace."""

import json

from scripted_model import Event, ScriptedModel


class OpenAiModel(ScriptedModel):
    def is_model_call(self, path):
        return path == "/v1/responses"

    def is_scripted(self, request):
        return bool(request.get("tools"))

    def history(self, request):
        for item in request["input"]:
            if item["type"] == "function_call":
                yield Event("called", identifier=item["call_id"])
            elif item["type"] == "function_call_output":
                yield Event("result", output_text(item["output"]), item["call_id"])
            elif item["type"] == "message":
                text = "".join(part.get("text", "") for part in item["content"])
                yield Event("said" if item["role"] == "assistant" else "text", text)

    def offered(self, request):
        return [name for name, _ in functions(request)]

    def answer(self, turn, request):
        # Unique within the conversation, as the items are.
        number = len(request["input"])
        yield {"type": "response.created", "response": {"id": f"resp_{number}"}}
        if turn.text:
            content = [{"type": "output_text", "text": turn.text}]
            item = {"type": "message", "role": "assistant", "id": f"msg_{number}", "content": content}
            yield {"type": "response.output_item.done", "item": item}
        for index, one in enumerate(turn.calls):
            namespace, _, name = one.tool.rpartition("__")
            item = {"type": "function_call", "call_id": f"call_{number}_{index}", "name": name}
            item |= {"arguments": json.dumps(one.arguments)} | ({"namespace": namespace} if namespace else {})
            yield {"type": "response.output_item.done", "item": item}
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        yield {"type": "response.completed", "response": {"id": f"resp_{number}", "usage": usage}}


def functions(request):
    """The functions that the model may call, with their names."""
    for tool in request["tools"]:
        if tool["type"] == "namespace":
            for function in tool["tools"]:
                yield f"{tool['name']}__{function['name']}", function
        elif tool["type"] == "function":
            yield tool["name"], tool


def output_text(output):
    """The text of a function's output, without the line about its time that Codex puts before it."""
    if not isinstance(output, str):
        output = "".join(part.get("text", "") for part in output)
    return output.split("\nOutput:\n", 1)[-1] if output.startswith("Wall time:") else output
