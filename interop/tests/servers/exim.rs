//! Exim takes chunks: every sample to the byte, and the last chunk's answer is that of the message.

use std::fs;

use postroad_interop::exim::HOST;
use postroad_interop::{EximHost, Sample, Scratch, mailbox, patience};
use postroad_message::{Outcome, Phase};

use crate::client::{Client, over_tls};

#[test]
#[ignore = "needs root and Debian's exim4-daemon-light, unpacked; .ci/run runs it"]
fn exim_takes_every_sample_in_chunks() {
    let exim = EximHost::start(&Scratch::new());
    let client = Client::trusting(exim.authority());
    let destination = over_tls(exim.address(), HOST);
    for sample in Sample::all() {
        let before = mailbox::files(&exim.mailbox());
        let to = ["jane@exim.test", "nobody@exim.test"];
        let outcomes = client.deliver(&destination, "joe@contoso.com", &to, sample.content.clone());
        let [Outcome::Delivered(receipt), Outcome::Failed(nobody)] = outcomes.as_slice() else {
            panic!("{:?}: {outcomes:?}\n{}", sample.name, exim.log())
        };
        assert_eq!((nobody.phase, nobody.reply.as_ref().map(|reply| reply.code)), (Phase::RcptTo, Some(550)));
        assert!(receipt.tls.as_ref().is_some_and(|tls| tls.authenticated), "{receipt:?}");
        let said = client.said();
        let total = format!("byte chunk, total {}", sample.content.len());
        assert!(said.iter().any(|line| line.ends_with(&total)), "{:?}: {said:#?}", sample.name);
        assert!(!said.contains(&"> DATA".to_owned()), "{:?}: {said:#?}", sample.name);
        let new = patience::until("a new message", || {
            mailbox::files(&exim.mailbox()).into_iter().find(|file| !before.contains(file))
        });
        sample.assert_arrived_in(&fs::read(new).expect("read a new file"));
    }
}
