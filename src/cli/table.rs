//! Tables on a terminal.

/// A table without a frame (it would be copied along), only a line under its
/// header; fitted to the terminal's width where there is one.
pub(super) fn new(header: &[&str], fitted: bool) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    let line = comfy_table::LineStyle::none().fill('─').junction('─');
    table.load_style(comfy_table::TableStyle::new().header_separator(line));
    table.set_header(header.to_vec());
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    if fitted {
        table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    }
    table
}

/// A text that can't steer the terminal: control characters but line ends
/// are shown as a replacement character.
pub(super) fn harmless(text: &str) -> String {
    let steers = |c: char| c.is_control() && c != '\n';
    text.replace("\r\n", "\n").replace('\t', " ").replace(steers, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_steer_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\r\nc\td\u{9b}"), "a\u{fffd}[2Jb\nc d\u{fffd}");
    }
}
