//! What `cli`, `watch` and `work` share to print for people: escaped text, messages that name commands, tables,
//! progress bars and colours.

mod colour;
mod echo;
mod mention_syntax;
mod mentions;
mod output;
mod progress_bar;
mod shell;
mod stream_decoder;
mod table;
mod width;

pub(crate) use crate::model::hidden::escape_hidden;
pub(crate) use colour::{colours_are_wanted, is_dumb_terminal, stdout_has_colours};
pub(crate) use echo::{EchoOff, restore_echo};
pub(crate) use mentions::{hyphenated, with_commands};
pub(crate) use output::{is_closed_output, output_error, print_line, recognise_closed_output};
pub(crate) use progress_bar::{ProgressLine, bar_style};
pub(crate) use shell::{shell_path, shell_word};
pub(crate) use stream_decoder::StreamDecoder;
pub(crate) use table::{fitted_table, new_table};
pub(crate) use width::{cut, stdout_columns, terminal_columns, wrap_behind, wrap_lines, wrap_words};
