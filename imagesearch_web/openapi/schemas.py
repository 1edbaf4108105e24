"""JSON Schemas of the gateway's messages in protobuf's JSON form."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from imagesearch_web.messages import map_entry

Schema = dict[str, Any]

_SCALARS: Mapping[int, Schema] = {
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_INT64: {"type": "string", "format": "int64"},
    FieldDescriptor.TYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptor.TYPE_DOUBLE: {"type": "number", "format": "double"},
}

_WELL_KNOWN: Mapping[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
}


class Schemas:
    """Gathers the schemas that others refer to.

    Args:
        comments: What is said of messages, fields and values, by full name.

    Attributes:
        found: By short name, as under `#/components/schemas/`.
    """

    def __init__(self, comments: Mapping[str, str]) -> None:
        self._comments = comments
        self.found: dict[str, Schema] = {}

    def of(self, message: Descriptor) -> Schema:
        """Gives a reference to a message's schema."""
        if message.full_name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[message.full_name])
        if message.name not in self.found:
            self.found[message.name] = {}  # messages may contain themselves
            self.found[message.name] = self.inline(message)
        return _reference(message.name)

    def inline(self, message: Descriptor, without: frozenset[str] = frozenset()) -> Schema:
        """Gives a message's schema, less some fields. Bytes never travel in JSON."""
        properties = {
            field.name: self._field(field)
            for field in message.fields
            if field.name not in without and field.type != FieldDescriptor.TYPE_BYTES
        }
        schema: Schema = {"type": "object", "properties": properties}
        return self._described(schema, message.full_name)

    def _field(self, field: FieldDescriptor) -> Schema:
        if (entry := map_entry(field)) is not None:
            values = self._one(entry.fields_by_name["value"])
            schema: Schema = {"type": "object", "additionalProperties": values}
        elif field.is_repeated:
            schema = {"type": "array", "items": self._one(field)}
        else:
            schema = self._one(field)
        return self._described(schema, field.full_name)

    def _one(self, field: FieldDescriptor) -> Schema:
        if field.message_type is not None:
            return self.of(field.message_type)
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        return dict(_SCALARS[field.type])

    def _enum(self, enum: EnumDescriptor) -> Schema:
        if enum.name not in self.found:
            names = [value.name for value in enum.values]
            prefix = enum.full_name.rpartition(".")[0]
            said = [(name, self._comments.get(f"{enum.full_name}.{name}")) for name in names]
            schema: Schema = {"type": "string", "enum": names}
            self._described(schema, f"{prefix}.{enum.name}")
            listed = "\n".join(f"- {name}: {what}" for name, what in said if what)
            schema["description"] = f"{schema.get('description', '')}\n\n{listed}".strip()
            self.found[enum.name] = schema
        return _reference(enum.name)

    def _described(self, schema: Schema, full_name: str) -> Schema:
        if what := self._comments.get(full_name):
            schema["description"] = what
        return schema


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
