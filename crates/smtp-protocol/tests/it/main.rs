//! SMTP conversations with both ends in memory.

mod client_content;
mod client_cuts;
mod client_dialogue;
mod client_dialogues;
mod client_rehearsal;
mod client_replies;
mod client_with_server;
mod disturbed_server;
mod logon_judge;
mod logons;
mod same_recipient;
mod sasl_rehearsal;
mod server_attacks;
mod server_cuts;
mod server_dialogue;
mod server_dialogues;
mod stored;
mod taken_content;
mod there_and_back;
mod transcripts;
