//! Man pages: what a command's help ends with becomes the sections that readers of man pages look for (man-pages(7)).

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

/// Writes the page of `command` and one of each of its subcommands into `folder`.
pub(crate) fn write_all(command: Command, folder: &Path) -> io::Result<()> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let source = format!("{} {}", command.get_name(), command.get_version().unwrap_or_default());
    let root = format!("{}(1)", command.get_name());
    for subcommand in command.get_subcommands() {
        write(Man::new(subcommand.clone()).source(&source), subcommand, &root, folder)?;
    }
    write(Man::new(command.clone()).source(&source), &command, "qemu-img(1)", folder)
}

/// Writes the page of `command`, which leads on to another.
fn write(page: Man, command: &Command, see_also: &str, folder: &Path) -> io::Result<()> {
    let mut file = File::create(folder.join(page.get_filename()))?;
    page.render_title(&mut file)?;
    page.render_name_section(&mut file)?;
    page.render_synopsis_section(&mut file)?;
    page.render_description_section(&mut file)?;
    page.render_options_section(&mut file)?;
    if command.has_subcommands() {
        page.render_subcommands_section(&mut file)?;
    }
    let end = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    sections(&end, see_also).into_iter().collect::<Roff>().to_writer(&mut file)?;
    file.flush()
}

/// The sections that the end of a help is.
fn sections(end: &str, see_also: &str) -> Vec<Roff> {
    let blocks: Vec<&str> = end.split("\n\n").filter(|block| !block.is_empty()).collect();
    let prose: Vec<&str> = blocks.iter().filter(|block| heading(block).is_none()).copied().collect();
    let mut sections = Vec::new();
    if !prose.is_empty() {
        let mut notes = section("NOTES");
        prose.iter().for_each(|block| paragraph(&mut notes, block));
        sections.push(notes);
    }
    for block in &blocks {
        if let Some((name, lines)) = heading(block) {
            let mut literal = section(name);
            as_is(&mut literal, lines);
            sections.push(literal);
        }
    }
    let mut last = section("SEE ALSO");
    last.text([roman(see_also)]);
    sections.push(last);
    sections
}

/// The section that `block` is, and its lines; `None` for prose.
fn heading(block: &str) -> Option<(&'static str, &str)> {
    let (title, lines) = block.split_once(":\n")?;
    SECTIONS.iter().find(|(known, _)| *known == title).map(|(_, name)| (*name, lines))
}

/// The start of a section.
fn section(name: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [name]);
    roff
}

/// A paragraph, whose lines are filled.
fn paragraph(roff: &mut Roff, text: &str) {
    roff.control("PP", []);
    text.lines().for_each(|line| _ = roff.text([roman(line)]));
}

/// Lines that stay as they are.
fn as_is(roff: &mut Roff, lines: &str) {
    roff.control("nf", []);
    lines.lines().for_each(|line| _ = roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]));
    roff.control("fi", []);
}

/// What blocks are called in helps, and in man pages.
const SECTIONS: &[(&str, &str)] = &[("Examples", "EXAMPLES"), ("Exit codes", "EXIT STATUS")];
