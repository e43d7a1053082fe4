//! Lists and objects as aligned columns for people, or as tab-separated lines for scripts.

use comfy_table::{Cell, ContentArrangement, Table, presets};
use jobstream::proto::v1::JobState;

use super::style::{Color, Style};
use super::{screen, text};

/// Columns with a header.
#[derive(Debug)]
pub(crate) struct Columns {
    header: Vec<&'static str>,
    rows: Vec<Vec<Field>>,
}

/// One field of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    text: String,
    color: Option<Color>,
}

impl Field {
    /// The same field in a colour.
    pub(crate) fn color(mut self, color: Color) -> Self {
        self.color = Some(color);
        self
    }
}

impl<T: Into<String>> From<T> for Field {
    fn from(text: T) -> Self {
        Self { text: text.into(), color: None }
    }
}

/// The name of a state, in its colour.
pub(crate) fn state(state: JobState) -> Field {
    let field = Field::from(text::state(state));
    match state_color(state) {
        Some(color) => field.color(color),
        None => field,
    }
}

/// The colour of a state.
pub(crate) fn state_color(state: JobState) -> Option<Color> {
    match state {
        JobState::Succeeded => Some(Color::Green),
        JobState::Failed => Some(Color::Red),
        JobState::Cancelled => Some(Color::Yellow),
        JobState::Running => Some(Color::Cyan),
        JobState::Unspecified | JobState::Scheduled | JobState::Queued => None,
    }
}

impl Columns {
    /// No rows yet.
    pub(crate) fn new(header: impl Into<Vec<&'static str>>) -> Self {
        Self { header: header.into(), rows: Vec::new() }
    }

    /// Adds a row with a field a column.
    pub(crate) fn row(&mut self, fields: impl Into<Vec<Field>>) {
        self.rows.push(fields.into());
    }

    /// Whether there is nothing below the header.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Aligned, with the header; no line is cut or wrapped, so that an id can always be copied.
    pub(crate) fn aligned(&self, style: Style) -> String {
        aligned(Some(&self.header), &self.rows, style)
    }

    /// A line a row, separated by tabs, without the header.
    pub(crate) fn tab_separated(&self) -> String {
        tab_separated(&self.rows)
    }
}

/// Names and values, aligned; pairs without a value are left out.
pub(crate) fn pairs(pairs: &[(&'static str, Field)], style: Style) -> String {
    aligned(None, &filled(pairs, |name| Field::from(format!("{name}:")).color(Color::Dim)), style)
}

/// Names and values, separated by a tab; pairs without a value are left out.
pub(crate) fn pairs_tab_separated(pairs: &[(&'static str, Field)]) -> String {
    tab_separated(&filled(pairs, Field::from))
}

fn filled(pairs: &[(&'static str, Field)], label: impl Fn(&'static str) -> Field) -> Vec<Vec<Field>> {
    let filled = pairs.iter().filter(|(_, value)| !value.text.is_empty());
    filled.map(|(name, value)| vec![label(name), value.clone()]).collect()
}

fn tab_separated(rows: &[Vec<Field>]) -> String {
    let line = |row: &Vec<Field>| {
        row.iter().map(|field| screen::clean_controls(&field.text)).collect::<Vec<_>>().join("\t") + "\n"
    };
    rows.iter().map(line).collect()
}

fn aligned(header: Option<&[&'static str]>, rows: &[Vec<Field>], style: Style) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).force_no_tty();
    if style.is_colored() {
        table.enforce_styling();
    }
    if let Some(header) = header {
        table.set_header(header.iter().map(|name| cell(&Field::from(*name).color(Color::Dim), style)));
    }
    for row in rows {
        table.add_row(row.iter().map(|field| cell(field, style)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines = table.to_string();
    lines.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn cell(field: &Field, style: Style) -> Cell {
    let cell = Cell::new(screen::clean(&field.text));
    match field.color {
        _ if !style.is_colored() => cell,
        None => cell,
        Some(Color::Dim) => cell.add_attribute(comfy_table::Attribute::Dim),
        Some(Color::Red) => cell.fg(comfy_table::Color::Red),
        Some(Color::Green) => cell.fg(comfy_table::Color::Green),
        Some(Color::Yellow) => cell.fg(comfy_table::Color::Yellow),
        Some(Color::Cyan) => cell.fg(comfy_table::Color::Cyan),
    }
}

#[cfg(test)]
mod tests {
    use clap::ColorChoice;

    use super::*;

    fn two_rows() -> Columns {
        let mut columns = Columns::new(["ID", "STATE"]);
        columns.row([Field::from("first"), state(JobState::Failed)]);
        columns.row([Field::from("2\tb"), state(JobState::Queued)]);
        columns
    }

    #[test]
    fn people_get_aligned_columns() {
        let expected = "ID     STATE\nfirst  FAILED\n2\\tb   QUEUED\n";
        assert_eq!(two_rows().aligned(Style::PLAIN), expected);
    }

    #[test]
    fn scripts_get_a_line_a_row_and_no_header() {
        assert_eq!(two_rows().tab_separated(), "first\tFAILED\n2\\tb\tQUEUED\n");
    }

    #[test]
    fn colours_are_there_only_if_wanted() {
        let colored = Style::new(ColorChoice::Always, false);
        assert!(two_rows().aligned(colored).contains("\u{1b}["));
        assert!(!two_rows().aligned(Style::PLAIN).contains('\u{1b}'));
    }

    #[test]
    fn pairs_leave_out_what_is_empty() {
        let shown = [("id", Field::from("7")), ("worker", Field::from("")), ("attempt", Field::from("1"))];
        assert_eq!(pairs(&shown, Style::PLAIN), "id:       7\nattempt:  1\n");
        assert_eq!(pairs_tab_separated(&shown), "id\t7\nattempt\t1\n");
    }
}
