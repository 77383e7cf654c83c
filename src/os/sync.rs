//! What two threads share, and the threads: parking_lot's and the standard library's, or those of shuttle, which
//! runs a test in many of the orders in which its threads may take turns (`cfg(shuttle)`, see `interleavings`). What two
//! processes share: numbers, or those of loom, which has each seen as late as the orderings allow (`cfg(weak_memory)`).

#[cfg(all(test, weak_memory))]
pub use loom::sync::atomic::{fence, AtomicU32};
#[cfg(not(all(test, weak_memory)))]
pub use std::sync::atomic::{fence, AtomicU32};

#[cfg(not(all(test, shuttle)))]
pub use parking_lot::{Condvar, Mutex, MutexGuard};
#[cfg(not(all(test, shuttle)))]
pub use std::thread;

#[cfg(all(test, shuttle))]
pub use of_shuttle::{Condvar, Mutex, MutexGuard};
#[cfg(all(test, shuttle))]
pub use shuttle::thread;

/// Where another thread may have its turn, in a test of shuttle's: before each look at what is shared without a lock.
#[inline]
pub fn pause() {
    #[cfg(all(test, shuttle))]
    shuttle::thread::yield_now();
}

/// parking_lot's words for shuttle's locks.
#[cfg(all(test, shuttle))]
mod of_shuttle {
    use std::ops::{Deref, DerefMut};
    use std::time::Instant;

    use shuttle::sync;

    #[derive(Debug, Default)]
    pub struct Mutex<T>(sync::Mutex<T>);

    #[derive(Debug)]
    pub struct MutexGuard<'a, T> {
        mutex: &'a Mutex<T>,
        /// None while it is unlocked.
        locked: Option<sync::MutexGuard<'a, T>>,
    }

    #[derive(Debug, Default)]
    pub struct Condvar(sync::Condvar);

    impl<T> Mutex<T> {
        pub fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard { mutex: self, locked: Some(self.0.lock().unwrap()) }
        }
    }

    impl<T> MutexGuard<'_, T> {
        pub fn unlocked<R>(guard: &mut Self, work: impl FnOnce() -> R) -> R {
            guard.locked = None;
            let result = work();
            guard.locked = Some(guard.mutex.0.lock().unwrap());
            result
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.locked.as_ref().unwrap()
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.locked.as_mut().unwrap()
        }
    }

    impl Condvar {
        pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            guard.locked = guard.locked.take().map(|locked| self.0.wait(locked).unwrap());
        }

        /// There is no time here: the moment may have come whenever the thread gets its turn.
        pub fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _moment: Instant) {
            MutexGuard::unlocked(guard, shuttle::thread::yield_now);
        }

        pub fn notify_one(&self) {
            self.0.notify_one();
        }
    }
}
