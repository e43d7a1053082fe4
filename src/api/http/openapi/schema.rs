//! JSON Schemas of the messages: what requests may contain, and what responses contain.

use std::collections::BTreeMap;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::comments::Commented;
use super::limits;

/// Appended to the name of a request schema, if responses have another of the same message.
const INPUT: &str = "Input";
/// The schema of problem details, which stand for a `google.rpc.Status`.
const PROBLEM: &str = "Problem";
const DURATION_PATTERN: &str = "^-?[0-9]{1,11}(\\.[0-9]{1,9})?s$";
const BASE64_PATTERN: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$";

/// Whether a schema describes what callers send or what the server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Request,
    Response,
}

/// The schemas of all messages and enums that the operations use, by name.
#[derive(Debug, Default)]
pub(super) struct Schemas(BTreeMap<String, Value>);

impl Schemas {
    pub(super) fn into_json(self) -> Map<String, Value> {
        self.0.into_iter().collect()
    }

    /// Adds a schema that no descriptor has.
    pub(super) fn add(&mut self, name: &str, schema: Value) {
        self.0.insert(name.to_owned(), schema);
    }

    /// A reference to the schema of a message, which is added with all that it refers to.
    pub(super) fn message(&mut self, side: Side, message: &MessageDescriptor) -> Value {
        match message.full_name() {
            "google.protobuf.Duration" => return json!({ "type": "string", "pattern": DURATION_PATTERN }),
            "google.protobuf.Timestamp" => return json!({ "type": "string", "format": "date-time" }),
            "google.protobuf.Value" => return json!({}),
            "google.rpc.Status" => return reference(PROBLEM),
            _ => {}
        }
        let name = schema_name(side, message.name());
        if !self.0.contains_key(&name) {
            // Before its fields, which may refer to it.
            self.0.insert(name.clone(), Value::Null);
            let schema = self.object(side, message, &[]);
            self.0.insert(name.clone(), schema);
        }
        reference(&name)
    }

    /// A reference to the schema of a request message without the fields that the path sets.
    pub(super) fn body(&mut self, message: &MessageDescriptor, captures: &[&str]) -> Value {
        let schema = self.object(Side::Request, message, captures);
        self.add(message.name(), schema);
        reference(message.name())
    }

    fn object(&mut self, side: Side, message: &MessageDescriptor, without: &[&str]) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in message.fields().filter(|field| !without.contains(&field.name())) {
            properties.insert(field.json_name().to_owned(), self.property(side, &field));
            if is_required(side, &field) {
                required.push(field.json_name().to_owned());
            }
        }
        let mut schema = json!({ "type": "object", "description": message.comment() });
        if !properties.is_empty() {
            schema["properties"] = Value::Object(properties);
        }
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        if side == Side::Request {
            schema["additionalProperties"] = false.into();
        }
        let rules = rules(side, message);
        if !rules.is_empty() {
            schema["allOf"] = rules.into();
        }
        schema
    }

    /// The schema of a field with its description. Optional fields of requests may be null.
    fn property(&mut self, side: Side, field: &FieldDescriptor) -> Value {
        let mut schema = self.field(side, field);
        let is_arm = field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic());
        if side == Side::Request && !is_arm && !limits::is_required(field.full_name()) {
            schema = nullable(schema);
        }
        let description = field.comment();
        if !description.is_empty() {
            schema["description"] = description.into();
        }
        schema
    }

    /// The schema of a field.
    pub(super) fn field(&mut self, side: Side, field: &FieldDescriptor) -> Value {
        let name = field.full_name();
        if field.is_map() {
            return match side {
                Side::Request => merged(
                    json!({
                        "type": "object",
                        "propertyNames": limits::map_key(),
                        "additionalProperties": limits::map_value(),
                    }),
                    limits::of_collection(name),
                ),
                Side::Response => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
            };
        }
        let mut value = self.value(side, field);
        if side == Side::Request {
            value = merged(value, limits::of_value(name));
        }
        if !field.is_list() {
            return value;
        }
        if value == reference(PROBLEM) {
            // A status of a list may be OK.
            let ok = json!({ "type": "object", "description": "OK.", "maxProperties": 0 });
            value = json!({ "anyOf": [value, ok] });
        }
        let list = json!({ "type": "array", "items": value });
        match side {
            Side::Request => merged(list, limits::of_collection(name)),
            Side::Response => list,
        }
    }

    /// The schema of one value of a field.
    fn value(&mut self, side: Side, field: &FieldDescriptor) -> Value {
        match field.kind() {
            Kind::String => json!({ "type": "string" }),
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::Uint32 | Kind::Fixed32 => {
                json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX })
            }
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                json!({ "type": "integer", "minimum": i32::MIN, "maximum": i32::MAX })
            }
            Kind::Float | Kind::Double if side == Side::Request => json!({ "type": "number" }),
            Kind::Float | Kind::Double => json!({ "type": ["number", "string"] }),
            Kind::Bytes => json!({
                "type": "string", "contentEncoding": "base64", "pattern": BASE64_PATTERN
            }),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                json!({ "type": "string", "pattern": "^-?[0-9]{1,19}$" })
            }
            Kind::Uint64 | Kind::Fixed64 => json!({ "type": "string", "pattern": "^[0-9]{1,19}$" }),
            Kind::Enum(values) => self.enumeration(&values),
            Kind::Message(message) => self.message(side, &message),
        }
    }

    /// A reference to the schema of an enum.
    fn enumeration(&mut self, values: &EnumDescriptor) -> Value {
        let named: Vec<_> = values.values().filter(|value| value.number() != 0).collect();
        let meanings = named.iter().map(|value| format!("- `{}`: {}", value.name(), value.comment()));
        let description = format!("{}\n\n{}", values.comment(), meanings.collect::<Vec<_>>().join("\n"));
        let names: Vec<_> = named.iter().map(|value| value.name()).collect();
        self.add(values.name(), json!({ "type": "string", "description": description, "enum": names }));
        reference(values.name())
    }
}

/// A reference to a schema of the document.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The name of a message's schema. Only request messages are requests in both senses.
fn schema_name(side: Side, message: &str) -> String {
    match side {
        Side::Request if !message.ends_with("Request") => format!("{message}{INPUT}"),
        _ => message.to_owned(),
    }
}

/// A response always has the fields without presence, except enums without a value and empty content types.
fn is_required(side: Side, field: &FieldDescriptor) -> bool {
    match side {
        Side::Request => limits::is_required(field.full_name()),
        Side::Response => {
            let is_omitted = field.name() == "content_type" || matches!(field.kind(), Kind::Enum(_));
            !field.supports_presence() && (field.is_list() || !is_omitted)
        }
    }
}

/// What a message demands of its fields together.
fn rules(side: Side, message: &MessageDescriptor) -> Vec<Value> {
    let mut rules = Vec::new();
    if side == Side::Response {
        return rules;
    }
    for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
        let names: Vec<_> = oneof.fields().map(|field| field.json_name().to_owned()).collect();
        if limits::is_required_oneof(oneof.full_name()) {
            let arms: Vec<_> = names.iter().map(|name| json!({ "required": [name] })).collect();
            rules.push(json!({ "oneOf": arms }));
            continue;
        }
        for (index, first) in names.iter().enumerate() {
            let pairs = names[index + 1..].iter();
            rules.extend(pairs.map(|second| json!({ "not": { "required": [first, second] } })));
        }
    }
    if message.name() == "Payload" {
        rules.push(json!({
            "if": { "required": ["json"] },
            "then": { "properties": { "contentType": { "enum": [null, "", crate::job::JSON] } } },
        }));
    }
    rules
}

/// A schema that null fits as well.
fn nullable(schema: Value) -> Value {
    match schema.get("type") {
        Some(Value::String(kind)) => {
            let types = json!([kind, "null"]);
            merged(schema, json!({ "type": types }))
        }
        _ => json!({ "anyOf": [schema, { "type": "null" }] }),
    }
}

/// The keywords of both schemas. Those of the second replace those of the first.
pub(super) fn merged(first: Value, second: Value) -> Value {
    match (first, second) {
        (Value::Object(mut first), Value::Object(second)) => {
            first.extend(second);
            Value::Object(first)
        }
        (first, _) => first,
    }
}
