"""Compares the schemas that a framework shows to a model with those of the server."""

from jsonschema import Draft202012Validator


def check(tool, converted):
    """Checks a converted input schema and returns it.

    Parameters, types, words and descriptions are equal, and objects of any fields are still open. Bounds and defaults
    are not compared: several frameworks drop them.
    """
    converted = plain(converted, converted)
    Draft202012Validator.check_schema(converted)
    compare(tool.name, tool.inputSchema, converted)
    return converted


def compare(path, original, converted):
    """Compares a part of the schemas with its converted form."""
    for keyword in ("type", "description", "enum"):
        # The description of the root is the tool's.
        if keyword in original:
            assert converted.get(keyword) == original[keyword], f"{path}: {keyword} is {converted.get(keyword)}"
    fields = original.get("properties", {})
    assert set(converted.get("properties", {})) == set(fields), f"{path}: {converted}"
    for name, field in fields.items():
        compare(f"{path}.{name}", field, converted["properties"][name])
    if "items" in original:
        compare(f"{path}[]", original["items"], converted["items"])
    if original.get("type") == "object" and not fields:
        closed = converted.get("additionalProperties", True) is False
        assert not closed, f"{path} became an object without fields: {converted}"


def plain(schema, root):
    """The schema with references resolved, a nullable field as the field itself, and types in lower case."""
    if isinstance(schema, list):
        return [plain(value, root) for value in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target = root
        for name in schema["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        schema = target | {key: value for key, value in schema.items() if key != "$ref"}
    if choices := schema.get("anyOf"):
        choices = [choice for choice in choices if choice.get("type") != "null"]
        assert len(choices) == 1, f"not one type: {schema}"
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        return plain(choices[0] | rest, root)
    if "properties" in schema:
        fields = {name: plain(field, root) for name, field in schema["properties"].items()}
        schema = {key: plain(value, root) for key, value in schema.items() if key not in ("properties", "$defs")}
        schema["properties"] = fields
    else:
        schema = {key: plain(value, root) for key, value in schema.items() if key != "$defs"}
    if isinstance(schema.get("type"), str):
        schema["type"] = schema["type"].lower()
    return schema
