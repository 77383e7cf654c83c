//! What a read found, as JavaScript gets it.

use std::os::fd::IntoRawFd;

use napi::bindgen_prelude::*;
use napi::JsValue;
use napi_derive::napi;

use crate::messages::frame::Kind;
use crate::messages::incoming::Run;
use crate::messages::parts::{self, Text};
use crate::messages::ring;
use crate::node::text::{string, whole};
use crate::node::Result;

/// In the place of a descriptor: one came, and found no number.
const LOST: i32 = -2;

/// What [`End::read`](super::end::End::read) found: one message, several, or why there is none.
pub(super) type Found<'env> = Either4<Unknown<'env>, Vec<Unknown<'env>>, Messages<'env>, i32>;

/// What `read` took out, unless it is one message of JSON text, or some of parts.
#[napi(object, object_from_js = false)]
pub struct Messages<'env> {
    /// The kind of the messages: 1 JSON, 2 advanced, 3 control.
    pub kind: i32,
    /// JSON and control: the messages as the text of one JSON array.
    #[napi(ts_type = "string")]
    pub json: Option<Unknown<'env>>,
    /// Advanced: the lengths of the messages, which lie one after the other in the scratch buffer.
    pub lengths: Option<Vec<u32>>,
    /// The scratch buffer, if the one that was given is too small.
    pub scratch: Option<Buffer>,
    /// The descriptor that came with the message, -1 if none did, -2 if it was lost: no number was free.
    pub fd: i32,
}

pub(super) fn count(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

pub(super) fn messages<'env>(env: Env, run: Run<'_>, scratch: Unknown<'_>) -> Result<Messages<'env>> {
    let mut messages = Messages { kind: run.kind as i32, json: None, lengths: None, scratch: None, fd: -1 };
    match (run.kind, &run.payloads[..]) {
        (Kind::Advanced, payloads) => {
            messages.lengths = Some(payloads.iter().map(|payload| count(payload.len())).collect());
            messages.scratch = gather(payloads, scratch);
        }
        (_, payloads) => messages.json = Some(string(env, &array(payloads))?),
    }
    messages.fd = run.descriptor.map_or(if run.lost { LOST } else { -1 }, IntoRawFd::into_raw_fd);
    Ok(messages)
}

/// The text of one JSON array of messages, and the strings that were taken out of them, in a row; and how many bytes
/// of them were in the ring.
pub(super) fn read_parts<'a>(
    env: Env,
    payloads: &[&[u8]],
    ring: Option<&mut ring::Reader>,
) -> Result<(Vec<Unknown<'a>>, usize)> {
    let mut texts = Vec::with_capacity(payloads.len());
    let mut strings = Vec::new();
    for payload in payloads {
        let (of_this, text) = parts::read(payload, ring.as_deref())?;
        texts.push(text);
        strings.extend(of_this);
    }
    let json = string(env, &array(&texts));
    let shared = strings.iter().filter_map(|string| match string {
        Text::Shared(shared) => Some(shared.length),
        _ => None,
    });
    let (count, bytes) = shared.fold((0, 0), |(count, bytes), length| (count + 1, bytes + length));
    let found: Result<_> = std::iter::once(json).chain(strings.into_iter().map(|string| whole(env, string))).collect();
    if let Some(ring) = ring {
        ring.take(count);
    }
    Ok((found?, bytes))
}

/// The text of one JSON array of messages.
fn array(payloads: &[&[u8]]) -> Vec<u8> {
    let length = payloads.iter().map(|payload| payload.len() + 1).sum::<usize>() + 1;
    let mut json = Vec::with_capacity(length);
    for (index, payload) in payloads.iter().enumerate() {
        json.push(if index == 0 { b'[' } else { b',' });
        json.extend_from_slice(payload);
    }
    json.push(b']');
    json
}

/// Copies payloads into a buffer of JavaScript's, or into a new one if they do not fit.
fn gather(payloads: &[&[u8]], scratch: Unknown<'_>) -> Option<Buffer> {
    /// Bytes of a buffer at least.
    const LEAST: usize = 64 * 1024;
    let length: usize = payloads.iter().map(|payload| payload.len()).sum();
    let fill = |mut room: &mut [u8]| {
        for payload in payloads {
            let (here, rest) = room.split_at_mut(payload.len());
            here.copy_from_slice(payload);
            room = rest;
        }
    };
    // SAFETY: called by JavaScript with a value of its own; what is no buffer is an error.
    match unsafe { BufferSlice::from_napi_value(scratch.value().env, scratch.raw()) } {
        Ok(mut scratch) if scratch.len() >= length => {
            fill(&mut scratch);
            None
        }
        _ => {
            let mut made = vec![0; length.max(LEAST)];
            fill(&mut made);
            Some(made.into())
        }
    }
}
