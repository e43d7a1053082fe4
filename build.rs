//! Generates code from `proto/`, without protoc: the API with its descriptor set, and the messages of the log with their
//! writers. Sets the version with the commit.

#[path = "build/commit.rs"]
mod commit;

use std::path::{Path, PathBuf};
use std::{env, error, fs};

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

const API: [&str; 6] = [
    "proto/jobstream/v1/payload.proto",
    "proto/jobstream/v1/job.proto",
    "proto/jobstream/v1/job_service.proto",
    "proto/jobstream/v1/worker_service.proto",
    "proto/jobstream/v1/admin_service.proto",
    "proto/jobstream/v1/access_service.proto",
];

/// The entries of the log: apart from the API, so that reflection does not show them.
const STORE: [&str; 1] = ["proto/jobstream/store/v1/record.proto"];

fn main() -> Result<(), Box<dyn error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rustc-env=JOBSTREAM_VERSION={}", version()?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let api = protox::compile(API, ["proto"])?;
    fs::write(out.join("descriptors.bin"), api.encode_to_vec())?;
    let is_on = |feature: &str| env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    tonic_prost_build::configure()
        .build_client(is_on("CLIENT"))
        .build_server(is_on("SERVER"))
        .bytes(".")
        .codec_path("crate::proto::codec::MessageCodec")
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .compile_fds(api)?;
    let store = protox::compile(STORE, ["proto"])?;
    write_writers(&store, &out)?;
    tonic_prost_build::configure().bytes(".").btree_map(".").compile_fds(store)?;
    Ok(())
}

/// The version, with the commit in a release build from a git checkout. A development build has no commit, because it
/// would have to build everything again after each one.
fn version() -> Result<String, env::VarError> {
    let version = env::var("CARGO_PKG_VERSION")?;
    let is_release = env::var("PROFILE")? == "release";
    let root = env::var("CARGO_MANIFEST_DIR")?;
    let Some(commit) = is_release.then(|| commit::read(Path::new(&root))).flatten() else {
        return Ok(version);
    };
    for source in commit.sources {
        println!("cargo:rerun-if-changed={}", source.display());
    }
    Ok(format!("{version} ({})", &commit.id[..12]))
}

/// Generates a method for each field of each message of the log. It appends the field to an entry without a message.
fn write_writers(store: &FileDescriptorSet, out: &Path) -> Result<(), Box<dyn error::Error>> {
    let mut code = String::new();
    for message in store.file.iter().flat_map(|file| &file.message_type) {
        code += &format!("impl<S: Sink> Writer<'_, pb::{}, S> {{\n", message.name());
        for field in &message.field {
            code += &writer_method(message, field)?;
        }
        code += "}\n";
    }
    Ok(fs::write(out.join("jobstream.store.v1.writers.rs"), code)?)
}

fn writer_method(message: &DescriptorProto, field: &FieldDescriptorProto) -> Result<String, String> {
    let is_map = message.nested_type.iter().any(|entry| field.type_name().ends_with(entry.name()));
    let is_repeated = field.label() == Label::Repeated;
    // Fields of a oneof and those that are declared optional.
    let has_presence = field.oneof_index.is_some();
    let nested =
        format!("Option<&impl Write<pb::{}>>", field.type_name().rsplit('.').next().unwrap_or_default());
    let (value, put) = match field.r#type() {
        Type::Message if is_map => ("&BTreeMap<String, String>", "put_map"),
        Type::Message => (nested.as_str(), "put_message"),
        Type::Uint32 if is_repeated => ("&[u32]", "put_packed"),
        Type::Sfixed64 if has_presence => ("Option<i64>", "put_optional_sfixed64"),
        Type::Double if has_presence => ("Option<f64>", "put_optional_double"),
        Type::Uint32 => ("u32", "put_number"),
        Type::Uint64 => ("u64", "put_number"),
        Type::Bool => ("bool", "put_number"),
        Type::Enum => ("i32", "put_enum"),
        Type::Sint32 => ("i32", "put_sint32"),
        Type::Fixed64 => ("u64", "put_fixed64"),
        Type::Sfixed64 => ("i64", "put_sfixed64"),
        Type::Double => ("f64", "put_double"),
        Type::String => ("&str", "put_string"),
        Type::Bytes => ("&[u8]", "put_bytes"),
        other => return Err(format!("no writer of fields of type {other:?}: {}", field.name())),
    };
    let (name, number) = (field.name(), field.number());
    Ok(format!("    pub(super) fn {name}(&mut self, value: {value}) {{ self.{put}({number}, value) }}\n"))
}
