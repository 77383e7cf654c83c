//! JavaScript's strings as bytes of messages, and back.

use std::ffi::{c_char, c_void};
use std::ptr;

use libloading::os::unix::Library;
use napi::bindgen_prelude::*;
use napi::sys;
use nix::errno::Errno;

use super::Result;
use crate::messages::parts::Text;
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

/// Appends a JavaScript string: its ASCII, or its UTF-16, which is said by `true`.
pub fn append_string(env: sys::napi_env, value: sys::napi_value, bytes: &mut Vec<u8>) -> bool {
    /// So much more room than units, that what is not ASCII takes more bytes than units, however it is cut: room
    /// for a character of four bytes, and a NUL.
    const MORE: usize = 5;
    let start = bytes.len();
    let mut length = 0;
    // SAFETY: asks for the length of a string, in units.
    unsafe { sys::napi_get_value_string_utf16(env, value, std::ptr::null_mut(), 0, &mut length) };
    bytes.reserve(length + MORE);
    let room = bytes.spare_capacity_mut();
    let mut written = 0;
    // SAFETY: a string, and room of ours to write it to; `written` bytes of it are initialised then. What does not
    // fit is cut at a character.
    unsafe {
        sys::napi_get_value_string_utf8(env, value, room.as_mut_ptr().cast(), length + MORE, &mut written);
        bytes.set_len(start + written);
    }
    if written == length {
        return false;
    }
    bytes.truncate(start);
    let mut units = vec![0; length + 1];
    // SAFETY: a string, and room for its units and a NUL.
    unsafe { sys::napi_get_value_string_utf16(env, value, units.as_mut_ptr(), units.len(), &mut length) };
    bytes.extend(units[..length].iter().flat_map(|unit| unit.to_le_bytes()));
    true
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
