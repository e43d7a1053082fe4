//! How long files and functions may be.

use crate::assert_none;
use crate::source::{File, code_of, rust_files};

/// Most lines of a file, its inline tests not counted. Beyond `FILE_LINES_WISHED` think of a split.
const FILE_LINES_MAX: usize = 500;
const FILE_LINES_WISHED: usize = 300;
/// Most lines of a function, from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 60;

fn long_file(file: &File) -> Option<String> {
    let lines = file.lines_before_tests();
    (lines > FILE_LINES_MAX).then(|| format!("{}: {lines} lines, at most {FILE_LINES_MAX}", file.path))
}

fn long_functions(file: &File) -> Vec<String> {
    let functions = function_lengths(&code_of(&file.text)).into_iter();
    let long = functions.filter(|&(_, lines)| lines > FUNCTION_LINES_MAX);
    long.map(|(line, lines)| format!("{}:{line}: {lines} lines, at most {FUNCTION_LINES_MAX}", file.path))
        .collect()
}

/// The line of each function that has a body, and how many lines it takes.
fn function_lengths(code: &str) -> Vec<(usize, usize)> {
    let mut functions = Vec::new();
    let mut at = 0;
    for (index, line) in code.split_inclusive('\n').enumerate() {
        if begins_function(line)
            && let Some(end) = function_end(&code[at..])
        {
            functions.push((index + 1, code[at..at + end].matches('\n').count() + 1));
        }
        at += line.len();
    }
    functions
}

fn begins_function(line: &str) -> bool {
    let words = line.split_whitespace();
    let mut words = words.skip_while(|word| {
        word.starts_with("pub") || ["const", "async", "unsafe", "extern", "default"].contains(word)
    });
    words.next() == Some("fn")
}

/// Where the body that follows ends; `None` for a function without one.
fn function_end(code: &str) -> Option<usize> {
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            ';' if braces == 0 && brackets == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces = braces.saturating_sub(1);
                if braces == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

#[test]
fn files_stay_small() {
    let files = rust_files();
    for file in files.iter().filter(|file| file.lines_before_tests() > FILE_LINES_WISHED) {
        println!("think of a split: {} has {} lines", file.path, file.lines_before_tests());
    }
    assert_none(files.iter().filter_map(long_file).collect());
}

#[test]
fn functions_stay_small() {
    assert_none(rust_files().iter().flat_map(long_functions).collect());
}

#[test]
fn a_long_file_is_seen_and_long_tests_are_not() {
    let lines = |count: usize| "// line\n".repeat(count);
    assert!(long_file(&File::sample("src/a.rs", &lines(FILE_LINES_MAX))).is_none());
    assert!(long_file(&File::sample("src/a.rs", &lines(FILE_LINES_MAX + 1))).is_some());
    let tests = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", lines(10), lines(FILE_LINES_MAX));
    assert!(long_file(&File::sample("src/a.rs", &tests)).is_none());
}

#[test]
fn a_long_function_is_seen_wherever_it_stands() {
    let body = |lines: usize| "    call([1; 2], '{', \"}\"); // }\n".repeat(lines);
    for head in [
        "fn f()",
        "pub(crate) async fn f<const N: usize>(\n    a: [u8; N],\n) -> [u8; 2]\nwhere\n    A: B,",
        "    pub fn f(&self)",
    ] {
        let head_lines = head.lines().count();
        let fits = format!("{head} {{\n{}}}\n", body(FUNCTION_LINES_MAX - 1 - head_lines));
        assert_none(long_functions(&File::sample("src/a.rs", &fits)));
        let long = format!("{head} {{\n{}}}\n", body(FUNCTION_LINES_MAX - head_lines));
        assert_eq!(long_functions(&File::sample("src/a.rs", &long)).len(), 1, "{head}");
    }
    let two =
        format!("trait T {{\n    fn f(&self) -> [u8; 2];\n\n    fn g(&self) {{\n{}    }}\n}}\n", body(60));
    assert_eq!(long_functions(&File::sample("src/a.rs", &two)), ["src/a.rs:4: 62 lines, at most 60"]);
}
