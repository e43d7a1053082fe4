//! What pages show is what the tests run: programs quoted in a page are those of `examples`.

const README: &str = include_str!("../../README.md");
const TOURS: [(&str, &str); 4] = [
    ("python", include_str!("../../clients/python/examples/tour.py")),
    ("go", include_str!("../../clients/go/examples/tour/main.go")),
    ("ts", include_str!("../../clients/typescript/examples/tour.ts")),
    ("java", include_str!("../../clients/java/examples/Tour.java")),
];
const PROTOCOL: &str = include_str!("../../docs/protocol.md");
const WORKER: &str = include_str!("../../examples/python/worker.py");

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

#[test]
fn the_readme_shows_the_tour_of_every_client() {
    for (language, tour) in TOURS {
        let shown = only_block(README, language).expect(language);
        assert!(quotes(shown, tour), "the block in {language} is not in the tour of its client");
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
