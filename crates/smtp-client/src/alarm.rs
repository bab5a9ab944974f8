//! The one timer of a connection, which every wait has its bound by.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

/// Goes off at a bound that each wait sets anew.
///
/// Nearly all bounds are never met, and each lies minutes behind the last. So the timer stays as it was set until it goes off,
/// and is set on then: most messages do not touch it.
#[derive(Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// What was moved; or `None` at the bound, where nothing could be until then.
    pub(crate) fn or<T>(
        &mut self,
        moved: Poll<T>,
        bound: Option<Instant>,
        context: &mut Context<'_>,
    ) -> Poll<Option<T>> {
        match (moved, bound) {
            (Poll::Ready(moved), _) => Poll::Ready(Some(moved)),
            (Poll::Pending, Some(bound)) => self.poll(bound.into(), context).map(|()| None),
            (Poll::Pending, None) => Poll::Pending,
        }
    }

    fn poll(&mut self, bound: tokio::time::Instant, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(bound)));
        if sleep.deadline() > bound {
            sleep.as_mut().reset(bound);
        }
        while sleep.as_mut().poll(context).is_ready() {
            if sleep.deadline() >= bound {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(bound);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;
    use tokio::time::Instant as Clock;

    #[tokio::test(start_paused = true)]
    async fn it_goes_off_at_the_last_bound_whichever_came_before() {
        let (mut alarm, began) = (Alarm::default(), Clock::now());
        for seconds in [300, 120, 180, 600, 600, 601, 1] {
            let bound = began + Duration::from_secs(seconds);
            let waiting = poll_fn(|context| alarm.or(Poll::<()>::Pending, Some(bound.into_std()), context));
            let late = bound <= Clock::now();
            assert_eq!(waiting.await, None);
            assert!(late || Clock::now().duration_since(bound) <= Duration::from_millis(1), "{seconds}");
            assert!(Clock::now() >= bound);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_ready_is_taken_and_where_nothing_bounds_nothing_ends() {
        let mut alarm = Alarm::default();
        let past = Clock::now().into_std();
        assert_eq!(poll_fn(|context| alarm.or(Poll::Ready(7), Some(past), context)).await, Some(7));
        let endless = poll_fn(|context| alarm.or(Poll::<()>::Pending, None, context));
        assert!(tokio::time::timeout(Duration::from_secs(86_400), endless).await.is_err());
    }
}
