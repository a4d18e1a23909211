//! The module `wasmpod_ipc_v0`: its functions as a core module imports them, and the four of preview 1 that go with them.
//!
//! Each returns 0 or an `errno` of preview 1. `out` is where a result is written. Names and data are a pointer and a length.
//! Flags of an open: 1 read, 2 write, 4 create, 8 exclusive, 16 undo, 32 non-blocking. A deadline is a time of the monotonic
//! clock in nanoseconds; u64::MAX never comes; one that has passed makes a call that would wait ETIMEDOUT.

#[link(wasm_import_module = "wasmpod_ipc_v0")]
unsafe extern "C" {
    pub fn mq_open(
        name: *const u8,
        len: usize,
        flags: u32,
        mode: u32,
        max_messages: u32,
        message_size: u32,
        out: *mut u32,
    ) -> u32;
    pub fn mq_unlink(name: *const u8, len: usize) -> u32;
    /// mq_maxmsg, mq_msgsize, mq_curmsgs, mq_flags.
    pub fn mq_getattr(fd: u32, out: *mut [u32; 4]) -> u32;
    pub fn mq_notify(fd: u32, out: *mut u32) -> u32;
    pub fn mq_send(fd: u32, data: *const u8, len: usize, priority: u32, deadline: u64) -> u32;
    pub fn mq_receive(
        fd: u32,
        buffer: *mut u8,
        len: usize,
        deadline: u64,
        out_len: *mut u32,
        out_priority: *mut u32,
    ) -> u32;
    pub fn sem_open(name: *const u8, len: usize, flags: u32, mode: u32, value: u32, out: *mut u32) -> u32;
    pub fn sem_unlink(name: *const u8, len: usize) -> u32;
    pub fn sem_wait(fd: u32, deadline: u64) -> u32;
    pub fn sem_trywait(fd: u32) -> u32;
    pub fn sem_post(fd: u32) -> u32;
    pub fn sem_getvalue(fd: u32, out: *mut u32) -> u32;
    pub fn shm_open(name: *const u8, len: usize, flags: u32, mode: u32, out: *mut u32) -> u32;
    pub fn shm_unlink(name: *const u8, len: usize) -> u32;
    pub fn shm_set_size(fd: u32, size: u64) -> u32;
    pub fn shm_size(fd: u32, out: *mut u64) -> u32;
    pub fn shm_read(fd: u32, offset: u64, buffer: *mut u8, len: usize, out: *mut u32) -> u32;
    pub fn shm_write(fd: u32, offset: u64, data: *const u8, len: usize) -> u32;
    pub fn shm_add32(fd: u32, offset: u64, value: u32, out: *mut u32) -> u32;
    pub fn shm_add64(fd: u32, offset: u64, value: u64, out: *mut u64) -> u32;
    pub fn shm_cas32(fd: u32, offset: u64, expected: u32, replacement: u32, out: *mut u32) -> u32;
    pub fn shm_cas64(fd: u32, offset: u64, expected: u64, replacement: u64, out: *mut u64) -> u32;
    pub fn shm_wait(fd: u32, offset: u64, expected: u32, deadline: u64) -> u32;
    pub fn shm_notify(fd: u32, offset: u64, count: u32, out: *mut u32) -> u32;
    pub fn shm_watch(fd: u32, offset: u64, expected: u32, out: *mut u32) -> u32;
}

pub const CLOCK_MONOTONIC: u32 = 1;
pub const ABSTIME: u16 = 1;

/// `$subscription`: of a clock, or of a descriptor, whose number is where a clock's id is. The tag is one byte, and then nothing.
#[repr(C)]
pub struct Subscription {
    pub userdata: u64,
    pub tag: u64,
    pub id: u32,
    pub timeout: u64,
    pub precision: u64,
    pub flags: u16,
}

/// `$event`.
#[repr(C)]
#[derive(Clone, Default)]
pub struct Event {
    pub userdata: u64,
    pub rest: [u64; 3],
}

const _: () = assert!(size_of::<Subscription>() == 48 && size_of::<Event>() == 32);

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    pub fn fd_close(fd: u32) -> u32;
    pub fn clock_time_get(id: u32, precision: u64, out: *mut u64) -> u32;
    pub fn poll_oneoff(subscriptions: *const Subscription, events: *mut Event, count: usize, out: *mut usize) -> u32;
}
