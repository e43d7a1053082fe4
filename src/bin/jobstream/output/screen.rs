//! Escapes text from the server for a terminal: control characters, and invisible formatting characters that could
//! disguise text.

use std::borrow::Cow;

/// The text on one line: each such character is an escape, line ends and tabs too.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    escaped(text, affects_terminal, |c, cleaned| cleaned.extend(c.escape_default()))
}

/// The text with its line ends and tabs.
pub(crate) fn clean_lines(text: &str) -> Cow<'_, str> {
    let affects_terminal = |c| affects_terminal(c) && c != '\n' && c != '\t';
    escaped(text, affects_terminal, |c, cleaned| cleaned.extend(c.escape_default()))
}

/// The text of a field between tabs, for scripts: only control characters are escapes.
pub(crate) fn clean_controls(text: &str) -> Cow<'_, str> {
    escaped(text, char::is_control, |c, cleaned| cleaned.extend(c.escape_default()))
}

/// Bytes with their line ends and tabs; those that are no UTF-8 are escapes, too.
pub(crate) fn clean_bytes(bytes: &[u8]) -> Cow<'_, [u8]> {
    if let Ok(text) = str::from_utf8(bytes) {
        return match clean_lines(text) {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
    }
    let mut cleaned = String::with_capacity(bytes.len() * 2);
    for chunk in bytes.utf8_chunks() {
        cleaned += &clean_lines(chunk.valid());
        cleaned.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    Cow::Owned(cleaned.into_bytes())
}

/// JSON text that means the same: within its strings the characters are escapes of JSON.
pub(crate) fn clean_json(text: &str) -> Cow<'_, str> {
    let affects_terminal = |c| affects_terminal(c) && c != '\n' && c != '\t';
    escaped(text, affects_terminal, |c, cleaned| {
        let mut units = [0; 2];
        cleaned.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
    })
}

/// A line of the log, with the colours that it has. What is logged has no colours of its own: `tracing_subscriber` writes
/// an escape character in a value as an escape.
pub(crate) fn clean_log_line(line: &str) -> Cow<'_, str> {
    let (text, end) = line.strip_suffix('\n').map_or((line, ""), |text| (text, "\n"));
    if !text.chars().any(affects_terminal) {
        return Cow::Borrowed(line);
    }
    let mut cleaned = String::with_capacity(line.len() + 16);
    let mut parts = text.split("\u{1b}[");
    cleaned += &clean(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(part.len());
        let is_color = part[digits..].starts_with('m');
        cleaned += if is_color { "\u{1b}[" } else { "\\u{1b}[" };
        cleaned += &clean(part);
    }
    cleaned += end;
    Cow::Owned(cleaned)
}

fn escaped(
    text: &str,
    is_escaped: impl Fn(char) -> bool,
    escape: impl Fn(char, &mut String),
) -> Cow<'_, str> {
    if !text.chars().any(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match is_escaped(c) {
            true => escape(c, &mut cleaned),
            false => cleaned.push(c),
        }
    }
    Cow::Owned(cleaned)
}

/// Whether the character controls a terminal or is invisible: control characters (C0, DEL, C1), marks and overrides of
/// direction, line separators, and formatting characters. Joiners are not escaped: scripts and emoji need them.
fn affects_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "a\u{1b}[2J\u{9b}m\u{7f}\r\u{202e}\u{2066}\u{200f}\u{61c}\u{feff}\u{e0041}z";

    #[test]
    fn what_steers_a_terminal_is_an_escape_and_the_rest_stays() {
        let shown = clean(EVIL);
        assert_eq!(shown, r"a\u{1b}[2J\u{9b}m\u{7f}\r\u{202e}\u{2066}\u{200f}\u{61c}\u{feff}\u{e0041}z");
        assert_eq!(clean(&shown), shown, "once is enough");
        for plain in
            ["", "Gr\u{fc}\u{df}e \u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{1f468}\u{200d}\u{1f469}", "a\u{200c}b"]
        {
            assert_eq!(clean(plain), plain);
        }
    }

    #[test]
    fn lines_keep_their_ends_and_a_field_has_none() {
        assert_eq!(clean_lines("a\tb\r\n"), "a\tb\\r\n");
        assert_eq!(clean("a\tb\n"), r"a\tb\n");
        assert_eq!(clean_controls("a\t\u{202e}"), "a\\t\u{202e}");
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_bytes() {
        assert_eq!(*clean_bytes(b"a\x9b2J\n\xff\x1b"), *b"a\\x9b2J\n\\xff\\u{1b}");
        assert_eq!(*clean_bytes(b"plain\n"), *b"plain\n");
    }

    #[test]
    fn json_means_the_same() {
        let value = serde_json::json!({ EVIL: [EVIL, 1.5] });
        let text = format!("{value:#}");
        let shown = clean_json(&text);
        assert!(shown.chars().all(|c| c == '\n' || !affects_terminal(c)), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), value);
    }

    #[test]
    fn a_log_line_keeps_its_colours_and_its_end() {
        let line = "\u{1b}[2mnow\u{1b}[0m \u{1b}[33m WARN\u{1b}[0m said\n";
        assert_eq!(clean_log_line(line), line);
        assert_eq!(
            clean_log_line("x\u{1b}[2J\u{202e}\ny\u{1b}]0;t\u{7}\n"),
            "x\\u{1b}[2J\\u{202e}\\ny\\u{1b}]0;t\\u{7}\n"
        );
    }
}
