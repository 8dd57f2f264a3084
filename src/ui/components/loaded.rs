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

    use leptos::reactive::computed::ScopedFuture;
    use tokio::runtime::Handle;

    /// As long as somebody waits, it is done in their task; dropped before its end, it becomes a task of its own.
    pub struct ToItsEnd<F: Future<Output: Send + 'static> + Send + 'static>(Option<Pin<Box<ScopedFuture<F>>>>);

    impl<F: Future<Output: Send + 'static> + Send + 'static> ToItsEnd<F> {
        /// What the work finds in its context is what is in it now.
        pub fn new(work: F) -> Self {
            Self(Some(Box::pin(ScopedFuture::new(work))))
        }
    }

    impl<F: Future<Output: Send + 'static> + Send + 'static> Future for ToItsEnd<F> {
        type Output = F::Output;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
            let Some(work) = &mut self.0 else { return Poll::Pending };
            let answer = work.as_mut().poll(cx);
            if answer.is_ready() {
                self.0 = None;
            }
            answer
        }
    }

    impl<F: Future<Output: Send + 'static> + Send + 'static> Drop for ToItsEnd<F> {
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
