//! Calling JavaScript from the event loop.

use std::ffi::CString;
use std::ptr;

use napi::sys;

/// A JavaScript function to be called from libuv's callbacks, as Node calls its own: ticks and promises run
/// after it, `async_hooks` see it, and what it throws becomes an 'uncaughtException'.
#[derive(Debug)]
pub struct Callback {
    env: sys::napi_env,
    context: sys::napi_async_context,
    function: sys::napi_ref,
}

impl Callback {
    /// A callback named `name` in `async_hooks`.
    ///
    /// # Safety
    /// `env` is the environment of this thread and `function` a function of it, in an open handle scope.
    pub unsafe fn new(env: sys::napi_env, name: &str, function: sys::napi_value) -> Callback {
        let name = CString::new(name).expect("a name of ours has no NUL");
        let (mut text, mut context, mut reference) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: the caller's promise; the results are checked by their use: a null context or reference
        // makes `call` do nothing.
        unsafe {
            sys::napi_create_string_utf8(env, name.as_ptr(), name.as_bytes().len() as isize, &mut text);
            sys::napi_async_init(env, ptr::null_mut(), text, &mut context);
            sys::napi_create_reference(env, function, 1, &mut reference);
        }
        Callback { env, context, function: reference }
    }

    /// Calls the function with numbers.
    ///
    /// A handle scope must be open, as in every callback of [`uv`](super::uv).
    pub fn call<const COUNT: usize>(&self, arguments: &[i32; COUNT]) {
        let mut values = [ptr::null_mut(); COUNT];
        // SAFETY: on the environment's thread, in a handle scope; `values` outlives the calls.
        unsafe {
            let mut function = ptr::null_mut();
            let mut receiver = ptr::null_mut();
            if sys::napi_get_reference_value(self.env, self.function, &mut function) != sys::Status::napi_ok
                || function.is_null()
                || sys::napi_get_global(self.env, &mut receiver) != sys::Status::napi_ok
            {
                return;
            }
            for (value, argument) in values.iter_mut().zip(arguments) {
                sys::napi_create_int32(self.env, *argument, value);
            }
            let mut result = ptr::null_mut();
            let status = sys::napi_make_callback(
                self.env,
                self.context,
                receiver,
                function,
                COUNT,
                values.as_ptr(),
                &mut result,
            );
            if status == sys::Status::napi_pending_exception {
                let mut exception = ptr::null_mut();
                sys::napi_get_and_clear_last_exception(self.env, &mut exception);
                sys::napi_fatal_exception(self.env, exception);
            }
        }
    }
}

impl Callback {
    /// As [`call`](Self::call), where no handle scope is open.
    pub fn call_in_scope<const COUNT: usize>(&self, arguments: &[i32; COUNT]) {
        let mut scope = ptr::null_mut();
        // SAFETY: on the environment's thread; the scope is closed below.
        if unsafe { sys::napi_open_handle_scope(self.env, &mut scope) } == sys::Status::napi_ok {
            self.call(arguments);
            // SAFETY: as above.
            unsafe { sys::napi_close_handle_scope(self.env, scope) };
        }
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        // SAFETY: made in `new`, dropped once, while the environment stands (see `uv`).
        unsafe {
            sys::napi_delete_reference(self.env, self.function);
            sys::napi_async_destroy(self.env, self.context);
        }
    }
}
