//! What pages show is what the tests run: programs quoted in a page are those of `examples`.

const PROTOCOL: &str = include_str!("../../docs/protocol.md");
const WORKER: &str = include_str!("../../examples/python/worker.py");

/// The only block of a page in this language.
fn only_block<'a>(page: &'a str, language: &str) -> Option<&'a str> {
    let begin = format!("\n```{language}\n");
    let mut blocks = page.split(begin.as_str()).skip(1);
    let block = blocks.next()?.split("```").next();
    block.filter(|_| blocks.next().is_none())
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
