//! Lists and objects as aligned columns for people, or as tab-separated lines for scripts.

use comfy_table::{Cell, ColumnConstraint, ContentArrangement, Row, Table, Width, presets};
use jobstream::proto::v1::JobState;

use super::style::{Color, Style};
use super::{screen, text};

/// Spaces between two columns.
const GAP: u16 = 2;
/// Columns that are not dropped are not shortened below this width.
const SHORTENED_MIN: u16 = 3;
/// Shows that the text of a field is shortened.
const SHORTENED: &str = "..";

/// A column: its name, and what happens to it when the terminal is narrow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    name: &'static str,
    /// The least width that it can be shortened to; `None` if it is not shortened.
    width_min: Option<u16>,
    /// The column with the highest rank is dropped first; 0 is never dropped.
    drop_rank: u8,
}

impl Column {
    /// A column that is always whole.
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, width_min: None, drop_rank: 0 }
    }

    /// The same column, shortened down to this width if needed.
    pub(crate) const fn shortened_to(self, width_min: u16) -> Self {
        Self { width_min: Some(width_min), ..self }
    }

    /// The same column, dropped before those with a lower rank.
    pub(crate) const fn dropped(self, drop_rank: u8) -> Self {
        Self { drop_rank, ..self }
    }
}

/// Columns with a header.
#[derive(Debug)]
pub(crate) struct Columns {
    header: Vec<Column>,
    rows: Vec<Vec<Field>>,
}

/// One field of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    text: String,
    color: Option<Color>,
    /// Whether the value of a pair is wrapped between its words.
    wraps: bool,
}

impl Field {
    /// The same field in a colour.
    pub(crate) fn color(mut self, color: Color) -> Self {
        self.color = Some(color);
        self
    }

    /// The same field, wrapped between its words as the value of a pair.
    pub(crate) fn wrapped(self) -> Self {
        Self { wraps: true, ..self }
    }
}

impl<T: Into<String>> From<T> for Field {
    fn from(text: T) -> Self {
        Self { text: text.into(), color: None, wraps: false }
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
    pub(crate) fn new(header: impl Into<Vec<Column>>) -> Self {
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

    /// Aligned, with the header. With a width no line is longer: columns are shortened or dropped.
    pub(crate) fn aligned(&self, style: Style, width: Option<u16>) -> String {
        let mut table = table(&self.rows, style);
        let names = self.header.iter().map(|column| Field::from(column.name).color(Color::Dim));
        table.set_header(one_line(names, style));
        if let Some(width) = width {
            let widths = fitted(&self.ranked(), &table.column_max_content_widths(), width);
            for (column, width) in table.column_iter_mut().zip(widths) {
                column.set_constraint(match width {
                    Some(width) => ColumnConstraint::Absolute(Width::Fixed(width + GAP)),
                    None => ColumnConstraint::Hidden,
                });
            }
        }
        lines(&table)
    }

    /// The columns, with the highest ranks for those without a text: they are dropped first.
    fn ranked(&self) -> Vec<Column> {
        let is_empty = |index: usize| {
            self.rows.iter().all(|row| row.get(index).is_none_or(|field| field.text.is_empty()))
        };
        let rank = |(index, column): (usize, &Column)| match column.drop_rank {
            1.. if is_empty(index) => column.dropped(u8::MAX),
            _ => *column,
        };
        self.header.iter().enumerate().map(rank).collect()
    }

    /// A line a row, separated by tabs, without the header.
    pub(crate) fn tab_separated(&self) -> String {
        tab_separated(&self.rows)
    }
}

/// Names and values, aligned; pairs without a value are left out, and so is a name that repeats the one above it. Words of
/// values that wrap are below each other in lines of at most `width`.
pub(crate) fn pairs(pairs: &[(&'static str, Field)], style: Style, width: Option<u16>) -> String {
    let shown: Vec<_> = pairs.iter().filter(|(_, value)| !value.text.is_empty()).collect();
    let name_chars = shown.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    // A name is followed by a colon.
    let indent = name_chars + 1 + usize::from(GAP);
    let mut lines = String::new();
    let mut above = "";
    for (name, value) in shown {
        let label = if *name == above { String::new() } else { format!("{name}:") };
        let text = screen::clean(&value.text);
        let text = match width {
            Some(width) if value.wraps => wrapped(&text, usize::from(width).saturating_sub(indent), indent),
            _ => text.into_owned(),
        };
        let text = value.color.map_or(text.clone(), |color| style.paint(color, &text));
        let gap = indent - label.len();
        lines += &format!("{}{:gap$}{text}\n", style.paint(Color::Dim, &label), "");
        above = name;
    }
    lines
}

/// The text in lines of at most `width` characters, if no word is longer. Each line but the first is indented.
fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let mut wrapped = String::new();
    let mut line_chars = 0;
    for word in text.split(' ') {
        let chars = word.chars().count();
        if line_chars > 0 && line_chars + 1 + chars > width {
            wrapped += &format!("\n{:indent$}", "");
            line_chars = 0;
        } else if line_chars > 0 {
            wrapped.push(' ');
            line_chars += 1;
        }
        wrapped += word;
        line_chars += chars;
    }
    wrapped
}

/// Names and values, separated by a tab; pairs without a value are left out.
pub(crate) fn pairs_tab_separated(pairs: &[(&'static str, Field)]) -> String {
    let shown = pairs.iter().filter(|(_, value)| !value.text.is_empty());
    let rows: Vec<_> = shown.map(|(name, value)| vec![Field::from(*name), value.clone()]).collect();
    tab_separated(&rows)
}

fn tab_separated(rows: &[Vec<Field>]) -> String {
    let line = |row: &Vec<Field>| {
        row.iter().map(|field| screen::clean_controls(&field.text)).collect::<Vec<_>>().join("\t") + "\n"
    };
    rows.iter().map(line).collect()
}

fn table(rows: &[Vec<Field>], style: Style) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).force_no_tty();
    // Text is shortened at any character, and not only between words.
    table.set_delimiter('\0').set_truncation_indicator(SHORTENED);
    if style.is_colored() {
        table.enforce_styling();
        // Spaces at the end of a line are not styled, so that they are trimmed.
        table.style_text_only();
    }
    for row in rows {
        table.add_row(one_line(row.iter().cloned(), style));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    table
}

/// A row that is shortened and never wrapped.
fn one_line(fields: impl Iterator<Item = Field>, style: Style) -> Row {
    let mut row = Row::from(fields.map(|field| cell(&field, style)).collect::<Vec<_>>());
    row.max_height(1);
    row
}

fn lines(table: &Table) -> String {
    let lines = table.to_string();
    lines.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The width of each column in lines of at most this width; `None` if it is dropped.
fn fitted(columns: &[Column], contents: &[u16], width: u16) -> Vec<Option<u16>> {
    let mut kept: Vec<_> = contents.iter().copied().map(Some).collect();
    let is_wide = |kept: &mut [Option<u16>]| !shorten(kept, width, |_, content| content);
    for (index, _) in columns.iter().enumerate().filter(|(_, column)| column.drop_rank == u8::MAX) {
        if is_wide(&mut kept) {
            kept[index] = None;
        }
    }
    loop {
        let fits = shorten(&mut kept, width, |index, content| {
            columns[index].width_min.map_or(content, |width_min| width_min.min(content))
        });
        if fits {
            return kept;
        }
        let kept_ranks = columns.iter().zip(&kept).enumerate().filter(|(_, (_, width))| width.is_some());
        let last = kept_ranks.map(|(index, (column, _))| (column.drop_rank, index)).max();
        for (width, content) in kept.iter_mut().zip(contents) {
            *width = width.and(Some(*content));
        }
        match last {
            Some((1.., index)) => kept[index] = None,
            _ => {
                shorten(&mut kept, width, |_, content| content.min(SHORTENED_MIN));
                return kept;
            }
        }
    }
}

/// Shortens the widest columns until the lines fit; returns whether they do.
fn shorten(widths: &mut [Option<u16>], width: u16, width_min: impl Fn(usize, u16) -> u16) -> bool {
    let contents = widths.to_vec();
    loop {
        let columns = widths.iter().flatten().count();
        let gaps = u32::from(GAP) * (columns.saturating_sub(1)) as u32;
        let total = widths.iter().flatten().map(|width| u32::from(*width)).sum::<u32>() + gaps;
        let excess = total.saturating_sub(width.into());
        if excess == 0 {
            return true;
        }
        let can_shrink = |(index, column): &(usize, u16)| {
            *column > contents[*index].map_or(0, |content| width_min(*index, content))
        };
        let shown = widths.iter().enumerate().filter_map(|(index, column)| Some((index, (*column)?)));
        match shown.filter(can_shrink).max_by_key(|(_, column)| *column) {
            Some((index, column)) => widths[index] = Some(column - 1),
            None => return false,
        }
    }
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
        let mut columns = Columns::new([Column::new("ID"), Column::new("STATE")]);
        columns.row([Field::from("first"), state(JobState::Failed)]);
        columns.row([Field::from("2\tb"), state(JobState::Queued)]);
        columns
    }

    #[test]
    fn people_get_aligned_columns() {
        let expected = "ID     STATE\nfirst  FAILED\n2\\tb   QUEUED\n";
        assert_eq!(two_rows().aligned(Style::PLAIN, None), expected);
    }

    #[test]
    fn scripts_get_a_line_a_row_and_no_header() {
        assert_eq!(two_rows().tab_separated(), "first\tFAILED\n2\\tb\tQUEUED\n");
    }

    #[test]
    fn colours_are_there_only_if_wanted() {
        let colored = Style::new(ColorChoice::Always, false);
        assert!(two_rows().aligned(colored, None).contains("\u{1b}["));
        assert!(!two_rows().aligned(Style::PLAIN, None).contains('\u{1b}'));
    }

    #[test]
    fn pairs_leave_out_what_is_empty() {
        let shown = [("id", Field::from("7")), ("worker", Field::from("")), ("attempt", Field::from("1"))];
        assert_eq!(pairs(&shown, Style::PLAIN, None), "id:       7\nattempt:  1\n");
        assert_eq!(pairs_tab_separated(&shown), "id\t7\nattempt\t1\n");
    }

    #[test]
    fn pairs_with_the_same_name_and_long_lists_are_below_each_other() {
        let kinds = Field::from("resize, crop, rotate").wrapped();
        let shown = [("kinds", kinds), ("memory", Field::from("a 1")), ("memory", Field::from("b 2"))];
        let narrow = "kinds:   resize, crop,\n         rotate\nmemory:  a 1\n         b 2\n";
        assert_eq!(pairs(&shown, Style::PLAIN, Some(22)), narrow);
        let wide = "kinds:   resize, crop, rotate\nmemory:  a 1\n         b 2\n";
        assert_eq!(pairs(&shown, Style::PLAIN, Some(80)), wide);
    }

    #[test]
    fn an_empty_column_is_dropped_before_others_are_shortened() {
        let mut columns = Columns::new([Column::new("KINDS").shortened_to(4), Column::new("SDK").dropped(1)]);
        columns.row(["resize,crop", ""].map(Field::from));
        assert_eq!(columns.aligned(Style::PLAIN, Some(20)), "KINDS        SDK\nresize,crop\n");
        assert_eq!(columns.aligned(Style::PLAIN, Some(12)), "KINDS\nresize,crop\n");
    }

    #[test]
    fn a_narrow_terminal_shortens_and_drops_columns() {
        let header =
            [Column::new("ID"), Column::new("QUEUE").dropped(1), Column::new("DETAIL").shortened_to(8)];
        let mut columns = Columns::new(header);
        columns.row(["1", "default", "HANDLER: no such file"].map(Field::from));
        let shown = |width| columns.aligned(Style::PLAIN, Some(width));
        assert_eq!(shown(80), "ID  QUEUE    DETAIL\n1   default  HANDLER: no such file\n");
        assert_eq!(shown(24), "ID  QUEUE    DETAIL\n1   default  HANDLER: ..\n");
        assert_eq!(shown(16), "ID  DETAIL\n1   HANDLER: n..\n");
        for width in 8..80 {
            assert!(shown(width).lines().all(|line| line.len() <= width.into()), "{}", shown(width));
        }
    }
}
