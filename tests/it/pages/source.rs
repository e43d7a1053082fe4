//! The pages at the root and in docs/, and the fenced blocks in them.

use std::path::Path;

/// Pages outside docs/ that these tests check. The tests of each client check its pages.
const ROOT_PAGES: [&str; 6] =
    ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "clients/README.md"];

/// Returns the text of a page by its path in the repository.
pub(super) fn page(path: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the path and the text of every page.
pub(super) fn pages() -> Vec<(String, String)> {
    let docs = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).expect("docs");
    let names = docs.map(|entry| entry.expect("an entry").file_name().into_string().expect("text"));
    let docs = names.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}"));
    let paths = ROOT_PAGES.map(str::to_owned).into_iter().chain(docs);
    paths.map(|path| (path.clone(), page(&path))).collect()
}

/// Returns the language, which may be empty, and the text of each fenced block.
pub(super) fn blocks(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let fenced = text.split("\n```").skip(1).step_by(2);
    fenced.filter_map(|block| block.split_once('\n'))
}

/// Returns the code spans outside of blocks.
pub(super) fn code_spans(text: &str) -> Vec<&str> {
    let outside = text.split("\n```").step_by(2);
    // Code follows an odd number of backticks. Blocks have an even number.
    outside.flat_map(|text| text.split('`').skip(1).step_by(2)).collect()
}
