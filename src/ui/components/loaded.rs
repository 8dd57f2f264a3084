//! The way from a page's data to the page.

use leptos::prelude::*;

use super::ProblemView;
use crate::error::Problem;

/// What a page shows once its data is there; in its place the problem, if there was one.
///
/// The document waits for it, so that the page is whole without JavaScript and its status is true. The page owns its data,
/// which is read by the request's own task. Where the request goes away, the reading goes on to its end: what it began in
/// a database would go on there, and until that is over its connection counts.
pub fn loaded<T: Send + 'static, P: IntoView + 'static>(
    data: impl Future<Output = Result<T, Problem>> + Send + 'static,
    page: impl FnOnce(T) -> P + Send + 'static,
) -> impl IntoView {
    #[cfg(feature = "ssr")]
    let data = to_its_end::ToItsEnd::new(data);
    Suspend::new(async move {
        match data.await {
            Ok(data) => page(data).into_any(),
            Err(problem) => view! { <ProblemView problem /> }.into_any(),
        }
    })
}

/// Work that goes on when nobody waits for it any more.
#[cfg(feature = "ssr")]
mod to_its_end {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use futures::{FutureExt, future::BoxFuture};
    use leptos::reactive::computed::ScopedFuture;
    use tokio::runtime::Handle;

    /// As long as somebody waits, it is done in their task; dropped before its end, it becomes a task of its own.
    pub struct ToItsEnd<T: Send + 'static>(Option<BoxFuture<'static, T>>);

    impl<T: Send + 'static> ToItsEnd<T> {
        /// What the work finds in its context is what is in it now.
        pub fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
            Self(Some(ScopedFuture::new(work).boxed()))
        }
    }

    impl<T: Send + 'static> Future for ToItsEnd<T> {
        type Output = T;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
            let Some(work) = &mut self.0 else { return Poll::Pending };
            let answer = work.poll_unpin(cx);
            if answer.is_ready() {
                self.0 = None;
            }
            answer
        }
    }

    impl<T: Send + 'static> Drop for ToItsEnd<T> {
        fn drop(&mut self) {
            // Without a runtime the process is ending.
            if let (Some(work), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
                runtime.spawn(work);
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use std::time::Duration;

        use super::*;

        #[tokio::test]
        async fn what_nobody_waits_for_any_more_is_done_all_the_same() {
            let (done, told) = tokio::sync::oneshot::channel();
            let (go_on, goes_on) = tokio::sync::oneshot::channel::<()>();
            let work = ToItsEnd::new(async move {
                let _ = goes_on.await;
                done.send(()).expect("somebody wants to know");
            });
            tokio::time::timeout(Duration::from_millis(10), work).await.expect_err("it waits");
            go_on.send(()).expect("it is still there");
            tokio::time::timeout(Duration::from_secs(5), told).await.expect("in time").expect("done");
        }
    }
}
