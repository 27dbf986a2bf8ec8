//! Work on a few threads, results in order.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;

/// Runs `work` for 0 to `count`, started in that order, on at most `threads` threads of which this
/// is one. A panic in any of them comes out of here once all have ended.
pub(super) fn run<T: Send>(
    count: usize,
    threads: usize,
    work: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            if job >= count {
                return done;
            }
            done.push((job, work(job)));
        }
    };
    let mut done = std::thread::scope(|scope| {
        // A system that gives no more threads gets the work done by those that are there.
        let others: Vec<_> = (1..threads.min(count))
            .map_while(|_| Builder::new().spawn_scoped(scope, worker).ok())
            .collect();
        let mut done = worker();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|(job, _)| *job);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_from_any_number_of_threads() {
        for threads in [1, 2, 5, 100] {
            let squares = run(10, threads, |n| n * n);
            assert_eq!(squares, [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]);
        }
        assert!(run(0, 3, |n| n).is_empty());
    }

    #[test]
    fn a_panic_on_any_thread_comes_out_and_keeps_its_message() {
        for bad in [0, 3] {
            let outcome = std::panic::catch_unwind(|| {
                run(4, 4, |n| assert_ne!(n, bad, "job {n} is bad"));
            });
            let message = outcome.unwrap_err();
            let message = message.downcast_ref::<String>().unwrap();
            assert!(message.contains("is bad"), "{message}");
        }
    }
}
