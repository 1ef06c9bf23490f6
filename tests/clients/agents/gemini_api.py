"""The Gemini API, as Gemini CLI uses it."""

import json

from scripted_model import Event, ScriptedModel


class GeminiModel(ScriptedModel):
    def is_model_call(self, path):
        return path.endswith(":streamGenerateContent")

    def is_scripted(self, request):
        return bool(request.get("tools"))

    def history(self, request):
        for content in request["contents"]:
            for part in content["parts"]:
                if "functionCall" in part:
                    yield Event("called", identifier=part["functionCall"]["id"])
                elif "functionResponse" in part:
                    response = part["functionResponse"]
                    yield Event("result", output_text(response["response"]), response["id"])
                elif "text" in part:
                    yield Event("said" if content["role"] == "model" else "text", part["text"])

    def offered(self, request):
        return [function["name"] for function in functions(request)]

    def answer(self, turn, request):
        # Unique within the conversation, as the contents are.
        number = len(request["contents"])
        parts = [{"text": turn.text}] if turn.text else []
        for index, one in enumerate(turn.calls):
            parts.append({"functionCall": {"id": f"{number}_{index}", "name": one.tool, "args": one.arguments}})
        candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
        usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
        yield {"candidates": [candidate], "usageMetadata": usage}


def functions(request):
    """The functions that the model may call."""
    for tool in request["tools"]:
        yield from tool.get("functionDeclarations", [])


def output_text(response):
    """The text of a function's response, without the tags that Gemini CLI puts around what a server wrote."""
    text = response["output"] if "output" in response else json.dumps(response)
    return text.removeprefix("<untrusted_context>\n").removesuffix("\n</untrusted_context>")
