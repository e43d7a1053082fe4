//! The files of this repository, and Rust code with its comments and literals blanked.

use std::fs;
use std::path::Path;

/// A text file: its path from the root of the repository, with `/`, and its content.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

const SKIPPED_FOLDERS: [&str; 7] =
    ["target", "node_modules", ".git", ".cache", ".venv", "__pycache__", ".pytest_cache"];
const EXTENSIONS: [&str; 14] = [
    ".rs", ".proto", ".toml", ".yaml", ".yml", ".md", ".py", ".sh", ".txt", ".ts", ".go", ".java", "/run",
    "/bench",
];

impl File {
    pub(crate) fn sample(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the whole file is test code.
    pub(crate) fn is_test(&self) -> bool {
        ["tests/", "bench/"].iter().any(|folder| self.path.starts_with(folder))
            || self.path.ends_with("/tests.rs")
            || self.path.contains("/tests/")
    }

    /// How many lines come before the inline test module, which closes a file.
    pub(crate) fn lines_before_tests(&self) -> usize {
        let lines: Vec<_> = self.text.lines().collect();
        let tests = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].ends_with('{'));
        tests.unwrap_or(lines.len())
    }
}

/// Every text file that people write.
pub(crate) fn all_files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    walk(root, "", &mut files);
    assert!(files.len() > 50, "only {} files found", files.len());
    files
}

pub(crate) fn rust_files() -> Vec<File> {
    all_files().into_iter().filter(File::is_rust).collect()
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<File>) {
    let mut entries: Vec<_> =
        fs::read_dir(folder).expect("readable").map(|entry| entry.expect("entry")).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().into_string().expect("file names are UTF-8");
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().expect("has a type");
        if kind.is_dir() && !SKIPPED_FOLDERS.contains(&name.as_str()) {
            walk(&entry.path(), &format!("{path}/"), files);
        } else if kind.is_file() && EXTENSIONS.iter().any(|extension| path.ends_with(extension)) {
            let text = fs::read_to_string(entry.path()).expect("text files are UTF-8");
            files.push(File { path, text });
        }
    }
}

/// The code alone: comments, strings and characters become spaces; lines and columns stay.
pub(crate) fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let length = literal_length(&chars, at).max(1);
        if length == 1 {
            code.push(chars[at]);
        } else {
            code.extend(chars[at..at + length].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
        }
        at += length;
    }
    code
}

/// Length of the comment, string or character that begins here; 0 if none does.
fn literal_length(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    let inside_word = at > 0 && is_word(chars[at - 1]);
    match rest {
        ['/', '/', ..] => rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => block_comment_length(rest),
        ['"', ..] => string_length(rest),
        ['r', '"' | '#', ..] if !inside_word => raw_string_length(rest),
        ['b' | 'c', 'r', '"' | '#', ..] if !inside_word => match raw_string_length(&rest[1..]) {
            0 => 0,
            length => length + 1,
        },
        ['\'', '\\', _, ..] => 3 + rest[3..].iter().position(|&c| c == '\'').map_or(0, |end| end + 1),
        ['\'', _, '\'', ..] => 3,
        _ => 0,
    }
}

fn block_comment_length(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at + 1 < rest.len() {
        match (rest[at], rest[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn string_length(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Length of `r"..."` or `r#"..."#`; 0 for a raw name such as `r#type`.
fn raw_string_length(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|&&c| c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 0;
    }
    let content = &rest[2 + hashes..];
    let end = (0..content.len()).find(|&at| {
        content[at] == '"' && content[at + 1..].iter().take_while(|&&c| c == '#').count() >= hashes
    });
    end.map_or(rest.len(), |end| 2 + hashes + end + 1 + hashes)
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[test]
fn comments_and_literals_are_blanked() {
    let text =
        "a // b\n/* c /* d */ e */ f \"g \\\" {\" h r#\"i \" j\"# 'k' '\\'' '\\u{7f}' l<'m> br\"n\" r#type";
    let code: Vec<_> = code_of(text).split_whitespace().map(str::to_owned).collect();
    assert_eq!(code, ["a", "f", "h", "l<'m>", "r#type"]);
}

#[test]
fn blanking_keeps_every_line_where_it_was() {
    for File { path, text } in rust_files() {
        assert_eq!(code_of(&text).chars().count(), text.chars().count(), "{path}");
        assert_eq!(code_of(&text).lines().count(), text.lines().count(), "{path}");
    }
}

#[test]
fn inline_tests_do_not_count() {
    let file = File::sample("src/a.rs", "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n");
    assert_eq!(file.lines_before_tests(), 2);
    assert_eq!(File::sample("src/a.rs", "fn a() {}\n\n#[cfg(test)]\nmod tests;\n").lines_before_tests(), 4);
}
