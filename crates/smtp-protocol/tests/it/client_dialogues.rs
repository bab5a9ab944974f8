//! The written dialogues of `tests/client_dialogues`, one test for each file.

use crate::client_dialogue::play_file;

#[test]
fn a_message_on_its_usual_way() {
    play_file(include_str!("../client_dialogues/usual.txt"));
}

#[test]
fn tls_is_begun_cleanly_or_not_at_all() {
    play_file(include_str!("../client_dialogues/starttls.txt"));
}

#[test]
fn a_password_goes_where_it_may_and_nowhere_else() {
    play_file(include_str!("../client_dialogues/auth.txt"));
}

#[test]
fn replies_that_are_none_end_the_session() {
    play_file(include_str!("../client_dialogues/replies.txt"));
}

#[test]
fn refusals_are_each_recipients_own() {
    play_file(include_str!("../client_dialogues/refusals.txt"));
}

#[test]
fn parameters_go_to_those_who_offer_them() {
    play_file(include_str!("../client_dialogues/parameters.txt"));
}

#[test]
fn deadlines_and_priorities_go_on_or_are_kept_by_rule() {
    play_file(include_str!("../client_dialogues/deadlines.txt"));
}

#[test]
fn content_goes_by_length_where_that_is_offered() {
    play_file(include_str!("../client_dialogues/chunking.txt"));
}

#[test]
fn lmtp_answers_for_each_recipient() {
    play_file(include_str!("../client_dialogues/lmtp.txt"));
}
