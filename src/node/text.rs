//! JavaScript's strings as bytes of messages, and back.

use std::ffi::{c_char, c_void};
use std::ptr::{self, NonNull};

use libloading::os::unix::Library;
use napi::bindgen_prelude::*;
use napi::sys;
use nix::errno::Errno;

use super::Result;
use crate::messages::parts::{Source, Text, MORE};
use crate::messages::ring::Shared;
use crate::os::error::Error;

/// JavaScript's string of UTF-8 text. Plain ASCII, as most messages are, needs no decoding; what is not UTF-8 will
/// be no JSON either, or a wrong letter in a string.
pub fn string<'a>(env: Env, text: &[u8]) -> Result<Unknown<'a>> {
    let create = if text.is_ascii() { sys::napi_create_string_latin1 } else { sys::napi_create_string_utf8 };
    made(env, |value| {
        // SAFETY: called by JavaScript, in its handle scope; `text` is valid for its length.
        unsafe { create(env.raw(), text.as_ptr().cast(), text.len() as isize, value) }
    })
}

/// JavaScript's string of one that travelled beside a message's text.
pub fn whole<'a>(env: Env, text: Text<'_>) -> Result<Unknown<'a>> {
    match text {
        Text::Latin1(bytes) => made(env, |value| {
            // SAFETY: as in `string`.
            unsafe { sys::napi_create_string_latin1(env.raw(), bytes.as_ptr().cast(), bytes.len() as isize, value) }
        }),
        // Copied once, whatever its sender does to it meanwhile: any bytes and any units are a string.
        Text::Shared(Shared { start, length, wide: false, .. }) => made(env, |value| {
            // SAFETY: as in `string`; the memory is mapped.
            unsafe { sys::napi_create_string_latin1(env.raw(), start.as_ptr().cast(), length as isize, value) }
        }),
        Text::Shared(Shared { start, length, .. }) => made(env, |value| {
            let units = start.as_ptr().cast();
            // SAFETY: as in `string`; the memory is mapped, and aligned.
            unsafe { sys::napi_create_string_utf16(env.raw(), units, (length / 2) as isize, value) }
        }),
        Text::Utf16(bytes) => {
            let units: Vec<_> = bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
            made(env, |value| {
                // SAFETY: as in `string`.
                unsafe { sys::napi_create_string_utf16(env.raw(), units.as_ptr(), units.len() as isize, value) }
            })
        }
    }
}

/// JavaScript's string of Latin-1 text that is there as long as this process: not a copy, where Node has a function for
/// that (version 20.4).
pub fn lasting<'a>(env: Env, text: &'static [u8]) -> Result<Unknown<'a>> {
    type CreateExternal = unsafe extern "C" fn(
        sys::napi_env,
        *const c_char,
        usize,
        sys::napi_finalize,
        *mut c_void,
        *mut sys::napi_value,
        *mut bool,
    ) -> sys::napi_status;
    let (characters, length) = (text.as_ptr().cast(), text.len());
    // SAFETY: the type is that of js_native_api.h.
    let create = unsafe { Library::this().get::<CreateExternal>(b"node_api_create_external_string_latin1\0") };
    made(env, |value| match create {
        // SAFETY: as in `string`; nothing is to be done when the string is gone.
        Ok(create) => unsafe { create(env.raw(), characters, length, None, ptr::null_mut(), value, &mut false) },
        // SAFETY: as in `string`.
        Err(_) => unsafe { sys::napi_create_string_latin1(env.raw(), characters, length as isize, value) },
    })
}

fn made<'a>(env: Env, create: impl FnOnce(*mut sys::napi_value) -> sys::napi_status) -> Result<Unknown<'a>> {
    let mut value = std::ptr::null_mut();
    if create(&mut value) != sys::Status::napi_ok {
        return Err(Error::os("napi_create_string", Errno::ENOMEM).into());
    }
    // SAFETY: the string made above.
    Ok(unsafe { Unknown::from_raw_unchecked(env.raw(), value) })
}

/// A JavaScript string that is to be sent: as its ASCII, or else as its UTF-16.
#[derive(Debug)]
pub struct Value(pub sys::napi_env, pub sys::napi_value);

// SAFETY: V8 says how much it has written.
unsafe impl Source for Value {
    fn units(&self) -> usize {
        let mut length = 0;
        // SAFETY: asks for the length of a string, in units.
        unsafe { sys::napi_get_value_string_utf16(self.0, self.1, ptr::null_mut(), 0, &mut length) };
        length
    }

    unsafe fn narrow(&self, room: NonNull<u8>, length: usize) -> bool {
        let mut written = 0;
        // What does not fit is cut at a character.
        // SAFETY: a string, and so much room.
        unsafe { sys::napi_get_value_string_utf8(self.0, self.1, room.as_ptr().cast(), length, &mut written) };
        written + MORE == length
    }

    unsafe fn wide(&self, room: NonNull<u16>, length: usize) {
        let mut written = 0;
        // SAFETY: a string, and so much room.
        unsafe { sys::napi_get_value_string_utf16(self.0, self.1, room.as_ptr(), length, &mut written) };
    }
}

/// Appends a JavaScript string as UTF-8, without a copy in between.
pub fn append_utf8(env: sys::napi_env, value: sys::napi_value, bytes: &mut Vec<u8>) {
    /// UTF-16 units up to which room for the longest text is made; for more, the length in UTF-8 is asked for,
    /// which costs a walk over the string.
    const SHORT: usize = 4096;
    /// A unit takes at most so many bytes of UTF-8.
    const UNIT: usize = 3;
    let mut length = 0;
    // SAFETY: asks for the length of a string, in units.
    unsafe { sys::napi_get_value_string_utf16(env, value, std::ptr::null_mut(), 0, &mut length) };
    if length <= SHORT {
        length *= UNIT;
    } else {
        // SAFETY: asks for its length in bytes.
        unsafe { sys::napi_get_value_string_utf8(env, value, std::ptr::null_mut(), 0, &mut length) };
    }
    // The last is a NUL, which is not counted.
    bytes.reserve(length + 1);
    let room = bytes.spare_capacity_mut();
    let mut written = 0;
    // SAFETY: a string, and room of ours to write it to; `written` bytes of it are initialised then.
    unsafe {
        sys::napi_get_value_string_utf8(env, value, room.as_mut_ptr().cast(), room.len(), &mut written);
        bytes.set_len(bytes.len() + written);
    }
}
