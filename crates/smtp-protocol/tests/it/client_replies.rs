//! Every command of two messages is answered with every class of reply, and with what is none.

use postroad_message::{Fault, Outcome, StatusClass};

use crate::client_dialogue::Player;
use crate::disturbed_server::{Disturbance, Manner, run};

#[test]
fn every_command_is_answered_with_every_class_of_reply() {
    let long = [&b"250 "[..], &b"x".repeat(3000), b"\r\n"].concat().leak();
    let replies: [&[u8]; 19] = [
        b"250 2.0.0 yes\r\n",
        b"251 2.1.5 elsewhere\r\n",
        b"250-2.0.0 yes\r\n250 2.0.0 indeed\r\n",
        b"354 go on\r\n",
        b"334 \r\n",
        b"421 4.3.2 enough\r\n",
        b"421-4.3.2 enough\r\n421 4.3.2 for today\r\n",
        b"450 4.2.1 later\r\n",
        b"450-4.2.1 later\r\n450 4.2.1 perhaps\r\n",
        b"550 5.7.1 never\r\n",
        b"550-5.7.1 never\r\n550 5.7.1 ever\r\n",
        b"250-2.0.0 yes\r\n550 5.7.1 no\r\n",
        b"550-5.7.1 no\r\n250 2.0.0 yes\r\n",
        b"250 2.0.0 yes\n",
        b"699 2.0.0 what\r\n",
        b"199 2.0.0 what\r\n",
        b"OK sure\r\n",
        b"\r\n",
        long,
    ];
    for manner in Manner::all() {
        let count = run(manner, Disturbance::NONE).server.replies();
        assert!(count >= 10, "{count} replies for two messages? {manner:?}");
        for at in 0..count {
            for reply in replies {
                run(manner, Disturbance { instead: Some((at, reply)), stalls: true, ..Disturbance::NONE });
            }
        }
    }
}

/// The owner of a session may end it anywhere, for a reason of his own, which is no fault of a message.
#[test]
fn a_session_that_we_end_fails_nobody_for_good() {
    let said: [&[u8]; 6] =
        [b"220 mx\r\n", b"250 mx\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go on\r\n", b"250 ok\r\n"];
    for (heard, expected) in [
        (0, "unusable 4.4.2 at greeting (local)"),
        (1, "unusable 4.4.2 at EHLO (local)"),
        (2, "deferred 4.4.2 at MAIL FROM"),
        (3, "deferred 4.4.2 at RCPT TO"),
        (4, "deferred 4.4.2 at DATA"),
        (5, "ambiguous 4.4.2 at final dot"),
        (6, "delivered"),
    ] {
        let mut player = Player::new("given: tls=never");
        player.pump();
        said.iter().take(heard).for_each(|reply| player.hear(reply));
        player.session.quit(player.now);
        player.pump();
        assert_eq!(player.results, [expected], "after {heard} replies");
        for failure in player.outcomes.iter().filter_map(Outcome::failure) {
            assert_eq!((failure.fault, failure.status.class()), (Fault::Local, StatusClass::Transient));
        }
    }
}
