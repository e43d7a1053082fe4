//! What pages show is what the tests run: programs quoted in a page are those of `examples`, tests and links that a page
//! names exist, and the pages that a newcomer reads first stay short. `tests/it/pages` runs the commands.

use crate::assert_none;
use crate::source::{File, all_files};

const README: &str = include_str!("../../README.md");
const CONTRIBUTING: &str = include_str!("../../CONTRIBUTING.md");
const STORAGE: &str = include_str!("../../docs/storage.md");
const CLIENTS: &str = include_str!("../../clients/README.md");
const TOURS: [(&str, &str); 4] = [
    ("python", include_str!("../../clients/python/examples/tour.py")),
    ("go", include_str!("../../clients/go/examples/tour/main.go")),
    ("ts", include_str!("../../clients/typescript/examples/tour.ts")),
    ("java", include_str!("../../clients/java/examples/Tour.java")),
];
const PROTOCOL: &str = include_str!("../../docs/protocol.md");
const WORKER: &str = include_str!("../../examples/python/worker.py");
const HTTP_HANDLERS: &str = include_str!("../../docs/http-handlers.md");
const ENDPOINTS: [(&str, &str); 4] = [
    ("python", include_str!("../../examples/http-handlers/fastapi/main.py")),
    ("js", include_str!("../../examples/http-handlers/express/server.js")),
    ("java", include_str!("../../examples/http-handlers/spring/src/main/java/words/Application.java")),
    ("go", include_str!("../../examples/http-handlers/go/main.go")),
];
const SHELL_WORKER: [&str; 2] =
    [include_str!("../../docs/shell-worker.md"), include_str!("../../examples/shell/worker.sh")];

/// The only block of a page in this language.
fn only_block<'a>(page: &'a str, language: &str) -> Option<&'a str> {
    let begin = format!("\n```{language}\n");
    let mut blocks = page.split(begin.as_str()).skip(1);
    let block = blocks.next()?.split("```").next();
    block.filter(|_| blocks.next().is_none())
}

/// Whether these lines stand in the program as they are, or all of them deeper by the same indent.
fn quotes(shown: &str, program: &str) -> bool {
    let shown: Vec<_> = shown.lines().collect();
    let lines: Vec<_> = program.lines().collect();
    lines.windows(shown.len()).any(|lines| {
        let indent = &lines[0][..lines[0].len() - lines[0].trim_start().len()];
        let mut pairs = lines.iter().zip(&shown);
        pairs.all(|(line, shown)| line.strip_prefix(indent).unwrap_or(line) == *shown)
    })
}

/// Links of a page to files that are not there.
fn dead_links(page: &File, is_there: impl Fn(&str) -> bool) -> Vec<String> {
    let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let outside_of_blocks = page.text.split("\n```").step_by(2);
    // A call such as `Submit[Out](ctx)` in a code span is not a link.
    let prose = outside_of_blocks.flat_map(|text| text.split('`').step_by(2));
    let targets = prose.flat_map(|text| text.split("](").skip(1)).filter_map(|rest| rest.split(')').next());
    let files = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    let dead = files.filter(|target| !is_there(&resolved(folder, target)));
    dead.map(|target| format!("{}: leads nowhere: {target}", page.path)).collect()
}

/// The path in the repository of a link's file.
fn resolved(folder: &str, target: &str) -> String {
    let mut path: Vec<_> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('#').next().unwrap_or_default().split('/') {
        match part {
            ".." => drop(path.pop()),
            part => path.push(part),
        }
    }
    path.join("/")
}

/// Tests that a page names in `cargo test ... NAME -- --ignored`.
fn tests_named(page: &str) -> Vec<&str> {
    let commands =
        page.split('`').filter(|span| span.starts_with("cargo test ") && span.contains(" -- --ignored"));
    let named = commands.filter_map(|command| command.split(" -- ").next()?.split_whitespace().last());
    named.filter(|name| name.contains('_')).collect()
}

/// Parts of the messages in a page's table of errors that no source file has.
fn unknown_messages(table: &str, sources: &[File]) -> Vec<String> {
    let messages = table.lines().filter(|line| line.starts_with("| `Log") || line.starts_with("| `Disk"));
    let columns = messages.filter_map(|line| line.split(" | ").nth(1));
    let spans = columns.flat_map(|column| column.split('`').skip(1).step_by(2));
    // N and M stand for numbers, dots for the rest of the message.
    let parts = spans.flat_map(|span| span.split("...").flat_map(|part| part.split(['N', 'M'])));
    let parts = parts.map(|part| part.trim_matches([' ', ',', ':'])).filter(|part| !part.is_empty());
    let in_one_line =
        |file: &File| file.text.replace("\\\n", " ").split_whitespace().collect::<Vec<_>>().join(" ");
    let sources: Vec<_> = sources.iter().map(in_one_line).collect();
    let unknown = parts.filter(|part| !sources.iter().any(|source| source.contains(part)));
    unknown.map(|part| format!("no message has: {part}")).collect()
}

#[test]
fn every_message_of_the_storage_page_is_one_of_the_log() {
    let table =
        STORAGE.split("\n## Errors\n").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a section");
    let sources: Vec<_> =
        all_files().into_iter().filter(|file| file.is_rust() && file.path.starts_with("src/")).collect();
    assert_none(unknown_messages(table, &sources));
}

#[test]
fn the_readme_is_short() {
    assert!(README.chars().count() <= 12_000, "{} characters", README.chars().count());
    assert!(README.lines().count() <= 250, "{} lines", README.lines().count());
}

#[test]
fn every_link_of_a_page_leads_to_a_file() {
    let files = all_files();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = files.iter().filter(|file| file.path.ends_with(".md"));
    assert_none(pages.flat_map(|page| dead_links(page, |path| root.join(path).exists())).collect());
}

#[test]
fn every_test_that_contributors_run_by_name_exists() {
    let named = tests_named(CONTRIBUTING);
    assert!(named.len() >= 3, "{named:?}");
    let files = all_files();
    let exists = |name: &str| {
        let in_function = |line: &str| line.contains("fn ") && line.contains(name);
        files.iter().filter(|file| file.is_rust()).any(|file| file.text.lines().any(in_function))
    };
    assert_none(
        named.into_iter().filter(|name| !exists(name)).map(|name| format!("no test {name}")).collect(),
    );
}

#[test]
fn the_clients_page_shows_the_tour_of_every_client() {
    for (language, tour) in TOURS {
        let shown = only_block(CLIENTS, language).expect(language);
        assert!(quotes(shown, tour), "the block in {language} is not in the tour of its client");
    }
}

#[test]
fn the_endpoints_of_the_http_page_are_the_examples() {
    for (language, endpoint) in ENDPOINTS {
        let shown = only_block(HTTP_HANDLERS, language).expect(language);
        assert!(shown == endpoint, "the {language} in docs/http-handlers.md is not that of the example");
    }
}

#[test]
fn the_worker_of_the_protocols_page_is_the_example() {
    let shown = only_block(PROTOCOL, "python").expect("one block of Python");
    let differs = shown.lines().zip(WORKER.lines()).position(|(shown, example)| shown != example);
    assert_eq!(differs.map(|line| line + 1), None, "the line of examples/python/worker.py that differs");
    assert_eq!(shown, WORKER);
}

#[test]
fn the_worker_of_the_shell_page_is_the_example() {
    let [page, example] = SHELL_WORKER;
    assert_eq!(only_block(page, "bash"), Some(example));
}

#[test]
fn a_block_is_found_if_it_is_the_only_one() {
    assert_eq!(only_block("a\n```python\nx = 1\n```\n", "python"), Some("x = 1\n"));
    assert_eq!(only_block("a\n```sh\nls\n```\n", "python"), None);
    assert_eq!(only_block("\n```sh\nls\n```\n\n```sh\nls\n```\n", "sh"), None);
}

#[test]
fn a_quote_keeps_every_line_and_its_indent() {
    let program = "use x;\n\nfn f() {\n    if a {\n        b();\n    }\n\n    c();\n}\n";
    assert!(quotes("fn f() {\n    if a {\n", program));
    assert!(quotes("if a {\n    b();\n}\n\nc();\n", program));
    assert!(!quotes("if a {\nb();\n}\n", program));
    assert!(!quotes("if a {\n    b();\n}\nc();\n", program));
}

#[test]
fn a_dead_link_is_seen() {
    let page = |text: &str| File::sample("docs/a.md", text);
    let is_there = |path: &str| ["docs/b.md", "README.md"].contains(&path);
    assert_none(dead_links(
        &page("[b](b.md#part) [c](../README.md) [d](https://d.e)\n```go\nf[int](x)\n```\n[f](#part)"),
        is_there,
    ));
    assert_eq!(dead_links(&page("[b](../b.md) [c](README.md)"), is_there).len(), 2);
}

#[test]
fn a_test_that_is_run_by_name_is_found() {
    let page = "| kill | `cargo test --release --test it a_kill -- --ignored` |\n`cargo test`, `cargo test -- --ignored`";
    assert_eq!(tests_named(page), ["a_kill"]);
}

#[test]
fn a_message_that_no_source_has_is_seen() {
    let sources =
        [File::sample("src/a.rs", "\"{}: it has {bytes} bytes, \\\n     and {} when it was made\"")];
    let of = |message: &str| unknown_messages(&format!("| `LogDamaged` | `{message}` | a |"), &sources);
    assert_none(of("... it has N bytes, and M when it was made"));
    assert_eq!(of("... it had N bytes").len(), 1);
}
