//! Questions to a name service: each has its time, and several are asked at once.

use std::future::poll_fn;
use std::net::IpAddr;
use std::task::Poll;
use std::time::Duration;

use crate::resolve::answer::{Answer, BoxFuture, MxRecord, Resolve};

/// A name service, and how long one question may take it.
#[derive(Clone, Copy)]
pub(crate) struct Questions<'a> {
    pub(crate) resolver: &'a dyn Resolve,
    pub(crate) within: Duration,
}

impl<'a> Questions<'a> {
    pub(crate) fn mx(self, domain: &'a str) -> BoxFuture<'a, Answer<MxRecord>> {
        self.bounded(self.resolver.mx(domain))
    }

    pub(crate) fn addresses(self, host: &'a str) -> BoxFuture<'a, Answer<IpAddr>> {
        self.bounded(self.resolver.addresses(host))
    }

    fn bounded<T: Send + 'a>(self, question: BoxFuture<'a, Answer<T>>) -> BoxFuture<'a, Answer<T>> {
        Box::pin(async move {
            match tokio::time::timeout(self.within, question).await {
                // No null MX, of which a domain that takes no mail has one.
                Ok(Answer::Records { records, .. }) if records.is_empty() => {
                    Answer::Failed("it says that there are records, and gives none".to_owned())
                }
                Ok(answer) => answer,
                Err(_) => Answer::Failed("not in time".to_owned()),
            }
        })
    }
}

/// Asks all of them at once: a name that nobody answers for keeps no other waiting. The answers are in their order.
pub(crate) async fn all<T>(mut questions: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut answers: Vec<Option<T>> = questions.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut is_complete = true;
        for (question, answer) in
            questions.iter_mut().zip(&mut answers).filter(|(_, answer)| answer.is_none())
        {
            match question.as_mut().poll(context) {
                Poll::Ready(given) => *answer = Some(given),
                Poll::Pending => is_complete = false,
            }
        }
        if is_complete { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    answers.into_iter().flatten().collect()
}
