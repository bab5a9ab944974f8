//! Every command of two messages is answered with every class of reply, and with what is none.

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
