//! Generates the gRPC code and the descriptor set from `proto/`, without protoc.

use std::path::PathBuf;
use std::{env, error, fs};

use prost::Message;

const PROTOS: [&str; 5] = [
    "proto/jobstream/v1/payload.proto",
    "proto/jobstream/v1/job.proto",
    "proto/jobstream/v1/job_service.proto",
    "proto/jobstream/v1/worker_service.proto",
    "proto/jobstream/v1/admin_service.proto",
];

fn main() -> Result<(), Box<dyn error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    let is_on = |feature: &str| env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    tonic_prost_build::configure()
        .build_client(is_on("CLIENT"))
        .build_server(is_on("SERVER"))
        .bytes(".")
        .codec_path("crate::proto::codec::MessageCodec")
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .compile_fds(descriptors)?;
    Ok(())
}
