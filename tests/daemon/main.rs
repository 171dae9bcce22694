//! What the daemon and the commands promise: settings, the binary as a process, everything together.

mod assignments;
mod cloud_events;
mod command_line;
mod compare;
mod connect;
mod containers;
mod curl;
mod damaged_state;
mod day;
mod dead_letters;
mod described;
mod documents;
mod encrypted;
mod end_to_end;
mod ensembles;
mod enveloped;
mod errors;
mod exploded;
mod files;
mod gaps;
mod health;
mod hostile_input;
mod http;
mod init;
mod intervals;
mod joining;
mod kill;
mod label_topic;
mod labels;
mod layering;
mod live;
mod model_command;
mod past;
mod per_key;
mod posting;
mod predicting;
mod published;
mod published_forms;
mod reading;
mod reload;
mod schemas;
mod settings;
mod statuses;
mod steps;
mod terminal;
mod values;
mod watchdog;

#[path = "../support/formats.rs"]
mod formats;
#[path = "../support/hostile.rs"]
mod hostile;
#[path = "../support/mod.rs"]
mod support;
