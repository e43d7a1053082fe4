//! The messages of the API as far as the scan needs them: which fields are lists or messages, and how long lists may be.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FileDescriptorSet};

use crate::proto::DESCRIPTORS;
use crate::proto::parse::{
    BATCH_JOBS_MAX, ENUM_ENTRIES_MAX, MAP_ENTRIES_MAX, SERVED_MAX, SLOTS_MAX, UNARY_MAX,
};

/// The most entries of the list of a message, and what to do about more.
const LIMITS: [(&str, &str, usize, &str); 18] = [
    ("BatchSubmitRequest", "jobs", BATCH_JOBS_MAX, ""),
    ("SubmitStreamRequest", "jobs", BATCH_JOBS_MAX, ""),
    ("JobSpec", "labels", MAP_ENTRIES_MAX, ""),
    ("JobSpec", "headers", MAP_ENTRIES_MAX, ""),
    ("ListJobsRequest", "labels", MAP_ENTRIES_MAX, ""),
    ("ListJobsRequest", "states", ENUM_ENTRIES_MAX, ": name each once"),
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
/// Most entries of a map, and of all such maps in one request, that are decoded. A few more than it may have are decoded so
/// that the refusal tells all that is wrong with the request.
const MAP_DECODED_MAX: usize = 4_000;
const MAPS_DECODED_MAX: usize = 64_000;

/// Every message of the descriptor set.
pub(super) static SHAPES: LazyLock<Shapes> = LazyLock::new(Shapes::read);

pub(super) struct Shapes {
    shapes: Vec<Shape>,
    by_name: HashMap<String, usize>,
    limited: usize,
}

/// One message.
pub(super) struct Shape {
    /// By number; few have gaps.
    fields: Vec<Option<Field>>,
    /// How many of them are lists.
    pub(super) lists: usize,
    /// Whether it is a part of a JSON value.
    pub(super) is_json: bool,
}

/// A field that is a list, a message or both.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Its place among the message's lists, if it is one.
    pub(super) list: Option<usize>,
    pub(super) is_map: bool,
    /// A JSON value in a message that is none.
    pub(super) begins_json: bool,
    pub(super) limit: Option<Limit>,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Message(usize),
    /// Numbers, which may come many in one field.
    Packed,
    Text,
}

/// Most entries of a list.
pub(super) struct Limit {
    /// Its place among all limits.
    pub(super) id: usize,
    entries_max: usize,
    is_map: bool,
    is_jobs: bool,
    way_out: &'static str,
}

impl Limit {
    /// Most entries of one message that are decoded.
    pub(super) fn scanned_max(&self) -> usize {
        if self.is_map { MAP_DECODED_MAX } else { self.entries_max }
    }

    /// Most entries of all such lists in one request. A request has many messages with maps, but one with another list.
    pub(super) fn total_max(&self) -> usize {
        if self.is_map { MAPS_DECODED_MAX } else { self.entries_max }
    }

    /// What is wrong with so many, as it is said of decoded requests.
    pub(super) fn describe(&self, count: usize) -> String {
        let Self { entries_max, way_out, .. } = self;
        match self.is_jobs {
            true => format!("has {count} jobs: allowed is 1 to {entries_max}"),
            false => format!("has {count} entries, the limit is {entries_max}{way_out}"),
        }
    }
}

impl Shape {
    pub(super) fn field(&self, number: usize) -> Option<&Field> {
        self.fields.get(number)?.as_ref()
    }

    /// Its lists.
    pub(super) fn lists_of(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().flatten().filter(|field| field.list.is_some())
    }
}

impl Shapes {
    /// The message of this name in the package of the API.
    pub(super) fn find(&self, name: &str) -> Option<&Shape> {
        self.by_name.get(&format!(".jobstream.v1.{name}")).map(|index| &self.shapes[*index])
    }

    pub(super) fn at(&self, index: usize) -> &Shape {
        &self.shapes[index]
    }

    /// How many limits there are.
    pub(super) fn limited(&self) -> usize {
        self.limited
    }

    fn read() -> Self {
        let set = FileDescriptorSet::decode(DESCRIPTORS).expect("the build wrote it");
        let mut messages = Vec::new();
        for file in set.file {
            let package = file.package.unwrap_or_default();
            for message in file.message_type {
                with_nested(format!(".{package}"), message, &mut messages);
            }
        }
        let by_name: HashMap<_, _> =
            messages.iter().enumerate().map(|(index, (name, _))| (name.clone(), index)).collect();
        let mut limited = 0;
        let shapes =
            messages.iter().map(|(name, message)| shape(name, message, &by_name, &mut limited)).collect();
        Self { shapes, by_name, limited }
    }
}

/// The message and those declared in it, with their full names.
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
    limited: &mut usize,
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
        // The name of the message of a map's entries is made by the compiler.
        let is_map = is_list && field.type_name().ends_with("Entry");
        let limit = LIMITS.iter().find(|(of, list, ..)| (*of, *list) == (short, field.name()));
        let limit = limit.map(|(_, list, entries_max, way_out)| {
            let id = *limited;
            *limited += 1;
            Limit { id, entries_max: *entries_max, is_map, is_jobs: *list == "jobs", way_out }
        });
        let list = is_list.then(|| {
            lists += 1;
            lists - 1
        });
        let begins_json = !is_json && self::is_json(field.type_name());
        let name = field.name().to_owned().leak();
        let found = Field { name, kind, list, is_map, begins_json, limit };
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
