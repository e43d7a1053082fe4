//! Parses `kind=program argument "quoted argument"`, the value of `--exec`. Words are split like in a shell, without
//! expansions.

use std::fmt;

use super::spec::CommandSpec;

/// Shell operators, which are rejected: the program would receive them as arguments.
const SHELL_OPERATORS: [&str; 9] = ["|", "||", "&", "&&", ";", ">", ">>", "<", "2>&1"];

/// An invalid `--exec` value. The message contains the value and a remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecError(String);

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ExecError {}

/// Parses the kind and the command of one `--exec` value. The kind is the text before the first `=`. It must not be
/// empty; its characters are not checked.
///
/// Quotes and backslashes work as in a POSIX shell. Variables, globs and operators are not supported.
///
/// # Errors
///
/// If the kind or the program is missing, a quote is not closed, or a word is a shell operator.
pub fn parse_exec(text: &str) -> Result<(String, CommandSpec), ExecError> {
    let fail = |problem: String| Err(ExecError(format!("--exec {text:?}: {problem}")));
    let Some((kind, command)) = text.split_once('=') else {
        return fail(
            "there is no '=': write kind=program, for example thumbnail=\"convert - png:-\"".to_owned(),
        );
    };
    let kind = kind.trim();
    if kind.is_empty() {
        return fail("there is no kind before '=': write kind=program".to_owned());
    }
    let words = match split_words(command) {
        Ok(words) => words,
        Err(problem) => return fail(problem.to_owned()),
    };
    if let Some(operator) =
        words.iter().find(|word| !word.quoted && SHELL_OPERATORS.contains(&word.text.as_str()))
    {
        let operator = &operator.text;
        return fail(format!(
            "{operator:?} needs a shell: write {kind}=sh -c '...', or quote it to pass it as it is"
        ));
    }
    let mut words = words.into_iter().map(|word| word.text);
    let Some(program) = words.next().filter(|program| !program.is_empty()) else {
        return fail(format!("there is no program after '=': write {kind}=program"));
    };
    let mut spec = CommandSpec::new(program);
    spec.args = words.collect();
    Ok((kind.to_owned(), spec))
}

#[derive(Debug, Default)]
struct Word {
    text: String,
    /// Whether any part of the word was quoted or escaped.
    quoted: bool,
}

fn split_words(text: &str) -> Result<Vec<Word>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c.is_ascii_whitespace() {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_default();
        match c {
            '\'' => single_quoted(&mut chars, word)?,
            '"' => double_quoted(&mut chars, word)?,
            '\\' => {
                word.quoted = true;
                word.text.push(chars.next().ok_or("it ends with a backslash: double it or remove it")?);
            }
            _ => word.text.push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn single_quoted(chars: &mut std::str::Chars<'_>, word: &mut Word) -> Result<(), &'static str> {
    word.quoted = true;
    loop {
        match chars.next().ok_or("a single quote (') is never closed: close it, or escape it as \\'")? {
            '\'' => return Ok(()),
            c => word.text.push(c),
        }
    }
}

fn double_quoted(chars: &mut std::str::Chars<'_>, word: &mut Word) -> Result<(), &'static str> {
    const OPEN: &str = "a double quote (\") is never closed: close it, or escape it as \\\"";
    word.quoted = true;
    loop {
        match chars.next().ok_or(OPEN)? {
            '"' => return Ok(()),
            '\\' => match chars.next().ok_or(OPEN)? {
                c @ ('"' | '\\' | '$' | '`') => word.text.push(c),
                c => word.text.extend(['\\', c]),
            },
            c => word.text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn args(text: &str) -> Vec<String> {
        let (kind, spec) = parse_exec(text).expect(text);
        assert_eq!((kind.as_str(), spec.program.as_path()), ("k", Path::new("p")), "{text}");
        spec.args
    }

    #[test]
    fn words_are_split_like_in_a_shell() {
        assert_eq!(args("k=p"), [""; 0]);
        assert_eq!(args("k = p  a\tb\n"), ["a", "b"]);
        assert_eq!(args(r#"k=p "a b" 'c "d"' e\ f"#), ["a b", "c \"d\"", "e f"]);
        assert_eq!(args(r#"k=p a"b"'c' "" ''"#), ["abc", "", ""]);
        assert_eq!(args(r#"k=p "\"\\\$\`\n" '\n' \n"#), ["\"\\$`\\n", "\\n", "n"]);
    }

    #[test]
    fn nothing_is_expanded() {
        assert_eq!(args("k=p $HOME *.c ~ `id` a=b"), ["$HOME", "*.c", "~", "`id`", "a=b"]);
        assert_eq!(args("k=p '|' \\; a|b"), ["|", ";", "a|b"]);
    }

    #[test]
    fn errors_contain_the_value_and_a_remedy() {
        let cases = [
            ("resize", "write kind=program"),
            ("=p", "no kind"),
            ("k=", "no program"),
            ("k=  ", "no program"),
            ("k=''", "no program"),
            ("k=p 'a", "single quote"),
            ("k=p \"a", "double quote"),
            ("k=p \"a\\", "double quote"),
            ("k=p a\\", "backslash"),
            ("k=p a | q", "sh -c"),
            ("k=p a > f", "sh -c"),
        ];
        for (text, expected) in cases {
            let message = parse_exec(text).expect_err(text).to_string();
            assert!(message.contains(expected), "{message}");
            assert!(message.contains(&format!("{text:?}")), "{message}");
        }
    }
}
