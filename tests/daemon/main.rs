//! What the daemon and the commands promise: settings, the binary as a process, everything together.

mod assignments;
mod command_line;
mod compare;
mod damaged_state;
mod day;
mod dead_letters;
mod documents;
mod end_to_end;
mod ensembles;
mod files;
mod gaps;
mod hostile_input;
mod http;
mod intervals;
mod kill;
mod layering;
mod model_command;
mod published;
mod settings;
mod steps;
mod terminal;
mod values;
mod watchdog;

#[path = "../support/hostile.rs"]
mod hostile;
#[path = "../support/mod.rs"]
mod support;
