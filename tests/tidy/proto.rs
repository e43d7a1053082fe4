//! Every service, RPC, message, field and value of the API is commented: `grpcurl describe` shows it.

use crate::assert_none;
use crate::source::{File, all_files};

/// The declarations that no comment stands right above.
fn uncommented(file: &File) -> Vec<String> {
    let mut found = Vec::new();
    let (mut commented, mut continues) = (false, false);
    for (index, line) in file.text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("//") {
            commented = line.trim_start_matches('/').trim() != "";
            continue;
        }
        if !continues && is_declaration(line) && !commented {
            found.push(format!("{}:{}: no comment: {line}", file.path, index + 1));
        }
        let code = line.split("//").next().unwrap_or_default().trim_end();
        continues = !code.is_empty() && !code.ends_with([';', '{', '}']);
        commented = false;
    }
    found
}

fn is_declaration(line: &str) -> bool {
    let first = line.split([' ', '=', ';', '"']).next().unwrap_or_default();
    let is_word = first.starts_with(|c: char| c.is_ascii_alphabetic());
    is_word && !["syntax", "package", "import", "option", "reserved", "extensions"].contains(&first)
}

#[test]
fn every_part_of_the_api_is_commented() {
    let protos = all_files().into_iter().filter(|file| file.path.starts_with("proto/jobstream/"));
    let protos: Vec<_> = protos.filter(|file| file.path.ends_with(".proto")).collect();
    assert!(protos.len() >= 4, "only {} files of the API found", protos.len());
    assert_none(protos.iter().flat_map(uncommented).collect());
}

#[test]
fn a_part_without_a_comment_is_seen() {
    for line in [
        "message Job {",
        "message Empty {}",
        "enum State {",
        "service JobService {",
        "rpc Get(GetRequest) returns (GetResponse);",
        "rpc Get(GetRequest) returns (GetResponse) {",
        "oneof end {",
        "uint32 a = 1;",
        "repeated Job jobs = 1;",
        "optional double a = 1;",
        "map<string, string> labels = 4;",
        "google.protobuf.Duration wait = 2;",
        "STATE_UNSPECIFIED = 0;",
        "uint32 a = 1; // Trailing comments do not show.",
        "string a = 1\n  [deprecated = true];",
    ] {
        let bare = File::sample("proto/a.proto", &format!("syntax = \"proto3\";\n\n  {line}\n"));
        assert_eq!(uncommented(&bare).len(), 1, "{line}");
        let apart = File::sample("proto/a.proto", &format!("// A comment apart.\n\n  {line}\n"));
        assert_eq!(uncommented(&apart).len(), 1, "{line}");
        let commented = File::sample("proto/a.proto", &format!("  // What it is.\n  {line}\n"));
        assert_none(uncommented(&commented));
    }
}

#[test]
fn what_declares_nothing_needs_no_comment() {
    let text = "syntax = \"proto3\";\npackage a.v1;\nimport \"b.proto\";\noption java_package = \"a\";\nreserved 3;\n}\n";
    assert_none(uncommented(&File::sample("proto/a.proto", text)));
}
