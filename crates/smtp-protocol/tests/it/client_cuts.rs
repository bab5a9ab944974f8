//! A session is cut, or stalled, at every byte of two messages in either direction: what each recipient's outcome is
//! follows from what was said to the end, and only what was lost behind the final dot is ambiguous.

use postroad_message::Outcome;

use crate::disturbed_server::{Disturbance, Manner, run};

fn undisturbed(manner: Manner) -> usize {
    let whole = run(manner, Disturbance::NONE);
    let both: Vec<&[Outcome]> = whole.outcomes.iter().map(Vec::as_slice).collect();
    let (Outcome::Delivered(_), Outcome::Failed(_), Outcome::Delivered(_)) =
        (&both[0][0], &both[0][1], &both[0][2])
    else {
        panic!("{both:?}")
    };
    assert_eq!(both.len(), 2);
    whole.server.bytes_said()
}

fn is_ambiguous(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Ambiguous(_))
}

#[test]
fn the_servers_words_end_at_every_byte() {
    for manner in Manner::all() {
        for stalls in [false, true] {
            let ambiguous = (0..undisturbed(manner))
                .map(|says| run(manner, Disturbance { says, stalls, ..Disturbance::NONE }))
                .filter(|run| run.outcomes.iter().flatten().any(is_ambiguous))
                .count();
            let final_replies: &[&str] =
                if manner.lmtp { &["250 2.0.0 yours\r\n"; 2] } else { &["250 2.0.0 queued\r\n"] };
            let missing: usize = final_replies.iter().map(|reply| reply.len()).sum();
            assert_eq!(ambiguous, 2 * missing, "one for each byte that may be missing, {manner:?}");
        }
    }
}

#[test]
fn our_words_end_at_every_byte() {
    for manner in Manner::all() {
        for stalls in [false, true] {
            let mut hears = 0;
            while !run(manner, Disturbance { hears, stalls, ..Disturbance::NONE }).server.could_hear_more() {
                hears += 1;
            }
            assert!(hears > 200, "{hears} bytes carry two messages? {manner:?}");
        }
    }
}
