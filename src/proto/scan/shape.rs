//! The message types of the API for the scan: which fields are lists or messages, and how long lists may be.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FileDescriptorSet};

use crate::proto::DESCRIPTORS;
use crate::proto::parse::{
    BATCH_JOBS_MAX, ENUM_ENTRIES_MAX, MAP_ENTRIES_MAX, SERVED_MAX, SLOTS_MAX, UNARY_MAX,
};

/// Message, list field, most entries, and a remedy for the error message.
const LIMITS: [(&str, &str, usize, &str); 20] = [
    ("BatchSubmitRequest", "jobs", BATCH_JOBS_MAX, ""),
    ("SubmitStreamRequest", "jobs", BATCH_JOBS_MAX, ""),
    ("JobSpec", "labels", MAP_ENTRIES_MAX, ""),
    ("JobSpec", "headers", MAP_ENTRIES_MAX, ""),
    ("ListJobsRequest", "labels", MAP_ENTRIES_MAX, ""),
    ("ListJobsRequest", "states", ENUM_ENTRIES_MAX, ": name each once"),
    ("WatchJobsRequest", "labels", MAP_ENTRIES_MAX, ""),
    ("WatchJobsRequest", "states", ENUM_ENTRIES_MAX, ": name each once"),
    ("RunRequest", "types", ENUM_ENTRIES_MAX, ": name each once"),
    ("WatchResultRequest", "types", ENUM_ENTRIES_MAX, ": name each once"),
    ("WorkRequest", "accepted_lease_ids", SLOTS_MAX as usize, ""),
    ("WorkRequest", "reports", SLOTS_MAX as usize, ": send several messages"),
    ("WorkerHeartbeat", "lease_ids", SLOTS_MAX as usize, ""),
    ("Hello", "held_lease_ids", SLOTS_MAX as usize, ""),
    ("Hello", "kinds", SERVED_MAX, ""),
    ("Hello", "queues", SERVED_MAX, ""),
    ("LeaseRequest", "kinds", SERVED_MAX, ""),
    ("LeaseRequest", "queues", SERVED_MAX, ""),
    ("ReportRequest", "reports", UNARY_MAX as usize, ": send several requests"),
    ("ReportRequest", "lease_ids", UNARY_MAX as usize, ": send several requests"),
];
/// Most entries that are decoded: of one map, and of all maps of a kind in one request. They exceed [`MAP_ENTRIES_MAX`], so
/// that the error of a slightly larger map can list all violations of the request.
const MAP_DECODED_MAX: usize = 4_000;
const MAPS_DECODED_MAX: usize = 64_000;

/// The shapes of all messages of the API.
pub(super) static SHAPES: LazyLock<Shapes> = LazyLock::new(Shapes::read);

/// The shapes of all messages, by index and by name.
pub(super) struct Shapes {
    shapes: Vec<Shape>,
    by_name: HashMap<String, usize>,
    limits_count: usize,
}

/// The shape of one message type.
pub(super) struct Shape {
    /// Fields by number. Few messages have gaps.
    fields: Vec<Option<Field>>,
    /// The number of list fields.
    pub(super) lists: usize,
    /// Whether the message is part of a JSON value.
    pub(super) is_json: bool,
}

/// A field that is a list, a message or both.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The index among the lists of the message, if it is a list.
    pub(super) list: Option<usize>,
    pub(super) is_map: bool,
    /// Whether the field is a JSON value in a message that is not JSON.
    pub(super) is_json_root: bool,
    pub(super) limit: Option<Limit>,
}

/// The type of a field.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Message(usize),
    /// Numbers. One encoded field may contain many.
    Packed,
    Text,
}

/// The limit of a list.
pub(super) struct Limit {
    /// The index among all limits.
    pub(super) id: usize,
    entries_max: usize,
    is_map: bool,
    is_jobs: bool,
    remedy: &'static str,
}

impl Limit {
    /// Most entries of one message that are decoded.
    pub(super) fn scanned_max(&self) -> usize {
        if self.is_map { MAP_DECODED_MAX } else { self.entries_max }
    }

    /// Most entries of all such lists in one request. Maps occur in many messages of a request, other lists in one.
    pub(super) fn total_max(&self) -> usize {
        if self.is_map { MAPS_DECODED_MAX } else { self.entries_max }
    }

    /// The description of the violation. The parsers of decoded requests use the same text.
    pub(super) fn describe(&self, count: usize) -> String {
        let Self { entries_max, remedy, .. } = self;
        match self.is_jobs {
            true => format!("has {count} jobs: allowed is 1 to {entries_max}"),
            false => format!("has {count} entries, the limit is {entries_max}{remedy}"),
        }
    }
}

impl Shape {
    pub(super) fn field(&self, number: usize) -> Option<&Field> {
        self.fields.get(number)?.as_ref()
    }

    /// The list fields.
    pub(super) fn lists_of(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().flatten().filter(|field| field.list.is_some())
    }
}

impl Shapes {
    /// The shape of a message of package `jobstream.v1`, by name.
    pub(super) fn find(&self, name: &str) -> Option<&Shape> {
        self.by_name.get(&format!(".jobstream.v1.{name}")).map(|index| &self.shapes[*index])
    }

    pub(super) fn at(&self, index: usize) -> &Shape {
        &self.shapes[index]
    }

    /// The number of limits.
    pub(super) fn limits_count(&self) -> usize {
        self.limits_count
    }

    fn read() -> Self {
        let set = FileDescriptorSet::decode(DESCRIPTORS).expect("the build writes valid descriptors");
        let mut messages = Vec::new();
        for file in set.file {
            let package = file.package.unwrap_or_default();
            for message in file.message_type {
                with_nested(format!(".{package}"), message, &mut messages);
            }
        }
        let by_name: HashMap<_, _> =
            messages.iter().enumerate().map(|(index, (name, _))| (name.clone(), index)).collect();
        let mut limits_count = 0;
        let shapes = messages
            .iter()
            .map(|(name, message)| shape(name, message, &by_name, &mut limits_count))
            .collect();
        Self { shapes, by_name, limits_count }
    }
}

/// Collects a message and its nested messages with their full names.
fn with_nested(parent: String, mut message: DescriptorProto, all: &mut Vec<(String, DescriptorProto)>) {
    let name = format!("{parent}.{}", message.name());
    for nested in std::mem::take(&mut message.nested_type) {
        with_nested(name.clone(), nested, all);
    }
    all.push((name, message));
}

fn shape(
    name: &str,
    message: &DescriptorProto,
    by_name: &HashMap<String, usize>,
    limits_count: &mut usize,
) -> Shape {
    let is_json = is_json(name);
    let short = name.rsplit('.').next().unwrap_or_default();
    let (mut fields, mut lists) = (Vec::new(), 0);
    for field in &message.field {
        let number = usize::try_from(field.number()).expect("numbers are positive");
        let is_list = field.label() == Label::Repeated;
        let kind = match field.r#type() {
            Type::Message => Kind::Message(by_name[field.type_name()]),
            Type::String | Type::Bytes => Kind::Text,
            _ => Kind::Packed,
        };
        if !is_list && !matches!(kind, Kind::Message(_)) {
            continue;
        }
        // The compiler generates the entry message of a map, named `...Entry`.
        let is_map = is_list && field.type_name().ends_with("Entry");
        let limit = LIMITS.iter().find(|(of, list, ..)| (*of, *list) == (short, field.name()));
        let limit = limit.map(|(_, list, entries_max, remedy)| {
            let id = *limits_count;
            *limits_count += 1;
            Limit { id, entries_max: *entries_max, is_map, is_jobs: *list == "jobs", remedy }
        });
        let list = is_list.then(|| {
            lists += 1;
            lists - 1
        });
        let is_json_root = !is_json && self::is_json(field.type_name());
        let name = field.name().to_owned().leak();
        let found = Field { name, kind, list, is_map, is_json_root, limit };
        if fields.len() <= number {
            fields.resize_with(number + 1, || None);
        }
        fields[number] = Some(found);
    }
    Shape { fields, lists, is_json }
}

fn is_json(name: &str) -> bool {
    ["Value", "ListValue", "Struct", "Struct.FieldsEntry"]
        .iter()
        .any(|part| name.strip_prefix(".google.protobuf.") == Some(part))
}
