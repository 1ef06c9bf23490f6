//! The commands `tasktally run` and `tasktally work`.

mod batch_totals;
mod command_check;
mod command_help;
mod command_options;
mod run;
mod run_options;
mod run_requests;
mod step_commands;
mod summary;
mod summary_table;
mod work;

pub use run::{RunEnd, run, run_until};
pub use run_options::Run;
pub use summary::report_and_check;
pub use work::{Work, test_in_foreground, work};
