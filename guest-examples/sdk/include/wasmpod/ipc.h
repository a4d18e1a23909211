/* IPC between the containers of a pod, for C programs of WASI 0.1: message queues, semaphores and shared memory.
 *
 * The calls are POSIX' with the prefix wasmpod_: they return -1 and set errno. Handles are file descriptors: close(2), poll(2) and
 * O_NONBLOCK work on them. A call that a signal interrupts is EINTR. Timed calls take a time span in nanoseconds where POSIX takes a
 * time of day; WASMPOD_FOREVER waits without end. What each call does is in specs/wit/ipc/ipc.wit. */
#ifndef WASMPOD_IPC_H
#define WASMPOD_IPC_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Flags of the opens. */
#define WASMPOD_READ 1u
#define WASMPOD_WRITE 2u
#define WASMPOD_CREATE 4u
#define WASMPOD_EXCLUSIVE 8u
#define WASMPOD_UNDO 16u     /* semaphores: give back at the end of the process (SEM_UNDO) */
#define WASMPOD_NONBLOCK 32u /* EAGAIN instead of waiting */

#define WASMPOD_FOREVER UINT64_MAX

struct wasmpod_mq_attr {
    uint32_t mq_maxmsg, mq_msgsize, mq_curmsgs, mq_flags;
};

#define WASMPOD_IMPORT(name) __attribute__((import_module("wasmpod_ipc_v0"), import_name(#name))) extern uint32_t wasmpod_raw_##name

WASMPOD_IMPORT(mq_open)(const char *, size_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t *);
WASMPOD_IMPORT(mq_unlink)(const char *, size_t);
WASMPOD_IMPORT(mq_getattr)(uint32_t, struct wasmpod_mq_attr *);
WASMPOD_IMPORT(mq_notify)(uint32_t, uint32_t *);
WASMPOD_IMPORT(mq_send)(uint32_t, const void *, size_t, uint32_t, uint64_t);
WASMPOD_IMPORT(mq_receive)(uint32_t, void *, size_t, uint64_t, uint32_t *, uint32_t *);
WASMPOD_IMPORT(sem_open)(const char *, size_t, uint32_t, uint32_t, uint32_t, uint32_t *);
WASMPOD_IMPORT(sem_unlink)(const char *, size_t);
WASMPOD_IMPORT(sem_wait)(uint32_t, uint64_t);
WASMPOD_IMPORT(sem_trywait)(uint32_t);
WASMPOD_IMPORT(sem_post)(uint32_t);
WASMPOD_IMPORT(sem_getvalue)(uint32_t, uint32_t *);
WASMPOD_IMPORT(shm_open)(const char *, size_t, uint32_t, uint32_t, uint32_t *);
WASMPOD_IMPORT(shm_unlink)(const char *, size_t);
WASMPOD_IMPORT(shm_set_size)(uint32_t, uint64_t);
WASMPOD_IMPORT(shm_size)(uint32_t, uint64_t *);
WASMPOD_IMPORT(shm_read)(uint32_t, uint64_t, void *, size_t, uint32_t *);
WASMPOD_IMPORT(shm_write)(uint32_t, uint64_t, const void *, size_t);
WASMPOD_IMPORT(shm_add32)(uint32_t, uint64_t, uint32_t, uint32_t *);
WASMPOD_IMPORT(shm_add64)(uint32_t, uint64_t, uint64_t, uint64_t *);
WASMPOD_IMPORT(shm_cas32)(uint32_t, uint64_t, uint32_t, uint32_t, uint32_t *);
WASMPOD_IMPORT(shm_cas64)(uint32_t, uint64_t, uint64_t, uint64_t, uint64_t *);
WASMPOD_IMPORT(shm_wait)(uint32_t, uint64_t, uint32_t, uint64_t);
WASMPOD_IMPORT(shm_notify)(uint32_t, uint64_t, uint32_t, uint32_t *);
WASMPOD_IMPORT(shm_watch)(uint32_t, uint64_t, uint32_t, uint32_t *);

/* wasi-libc's errno has the numbers of WASI 0.1. */
static inline int wasmpod_done(uint32_t error) {
    if (error == 0) return 0;
    errno = (int)error;
    return -1;
}

static inline uint64_t wasmpod_deadline(uint64_t span) {
    struct timespec now;
    if (span == WASMPOD_FOREVER) return span;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t at = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    return at + span < at ? WASMPOD_FOREVER : at + span;
}

/* Message queues. Without attributes a queue holds 10 messages of 8192 bytes. */
static inline int wasmpod_mq_open(const char *name, uint32_t flags, uint32_t mode, const struct wasmpod_mq_attr *attr) {
    uint32_t fd = 0, messages = attr ? attr->mq_maxmsg : 0, size = attr ? attr->mq_msgsize : 0;
    return wasmpod_done(wasmpod_raw_mq_open(name, strlen(name), flags, mode, messages, size, &fd)) ? -1 : (int)fd;
}
static inline int wasmpod_mq_unlink(const char *name) { return wasmpod_done(wasmpod_raw_mq_unlink(name, strlen(name))); }
static inline int wasmpod_mq_getattr(int fd, struct wasmpod_mq_attr *attr) {
    return wasmpod_done(wasmpod_raw_mq_getattr((uint32_t)fd, attr));
}
static inline int wasmpod_mq_timedsend(int fd, const void *data, size_t len, uint32_t priority, uint64_t span) {
    return wasmpod_done(wasmpod_raw_mq_send((uint32_t)fd, data, len, priority, wasmpod_deadline(span)));
}
static inline int wasmpod_mq_send(int fd, const void *data, size_t len, uint32_t priority) {
    return wasmpod_mq_timedsend(fd, data, len, priority, WASMPOD_FOREVER);
}
/* The length of the message. The buffer must hold mq_msgsize bytes. */
static inline int wasmpod_mq_timedreceive(int fd, void *buffer, size_t len, uint32_t *priority, uint64_t span) {
    uint32_t got = 0, ignored;
    uint32_t *to = priority ? priority : &ignored;
    return wasmpod_done(wasmpod_raw_mq_receive((uint32_t)fd, buffer, len, wasmpod_deadline(span), &got, to)) ? -1 : (int)got;
}
static inline int wasmpod_mq_receive(int fd, void *buffer, size_t len, uint32_t *priority) {
    return wasmpod_mq_timedreceive(fd, buffer, len, priority, WASMPOD_FOREVER);
}
/* A descriptor that becomes readable when a message has come into the empty queue; close it to withdraw. */
static inline int wasmpod_mq_notify(int fd) {
    uint32_t told = 0;
    return wasmpod_done(wasmpod_raw_mq_notify((uint32_t)fd, &told)) ? -1 : (int)told;
}

/* Semaphores. */
static inline int wasmpod_sem_open(const char *name, uint32_t flags, uint32_t mode, uint32_t value) {
    uint32_t fd = 0;
    return wasmpod_done(wasmpod_raw_sem_open(name, strlen(name), flags, mode, value, &fd)) ? -1 : (int)fd;
}
static inline int wasmpod_sem_unlink(const char *name) { return wasmpod_done(wasmpod_raw_sem_unlink(name, strlen(name))); }
static inline int wasmpod_sem_timedwait(int fd, uint64_t span) {
    return wasmpod_done(wasmpod_raw_sem_wait((uint32_t)fd, wasmpod_deadline(span)));
}
static inline int wasmpod_sem_wait(int fd) { return wasmpod_sem_timedwait(fd, WASMPOD_FOREVER); }
static inline int wasmpod_sem_trywait(int fd) { return wasmpod_done(wasmpod_raw_sem_trywait((uint32_t)fd)); }
static inline int wasmpod_sem_post(int fd) { return wasmpod_done(wasmpod_raw_sem_post((uint32_t)fd)); }
static inline int wasmpod_sem_getvalue(int fd, uint32_t *value) {
    return wasmpod_done(wasmpod_raw_sem_getvalue((uint32_t)fd, value));
}

/* Shared memory: copied, not mapped. Its size is set once. */
static inline int wasmpod_shm_open(const char *name, uint32_t flags, uint32_t mode) {
    uint32_t fd = 0;
    return wasmpod_done(wasmpod_raw_shm_open(name, strlen(name), flags, mode, &fd)) ? -1 : (int)fd;
}
static inline int wasmpod_shm_unlink(const char *name) { return wasmpod_done(wasmpod_raw_shm_unlink(name, strlen(name))); }
static inline int wasmpod_shm_set_size(int fd, uint64_t size) { return wasmpod_done(wasmpod_raw_shm_set_size((uint32_t)fd, size)); }
static inline int wasmpod_shm_size(int fd, uint64_t *size) { return wasmpod_done(wasmpod_raw_shm_size((uint32_t)fd, size)); }
/* How many bytes there were: fewer at the end of the segment. */
static inline int wasmpod_shm_read(int fd, uint64_t offset, void *buffer, size_t len) {
    uint32_t got = 0;
    return wasmpod_done(wasmpod_raw_shm_read((uint32_t)fd, offset, buffer, len, &got)) ? -1 : (int)got;
}
static inline int wasmpod_shm_write(int fd, uint64_t offset, const void *data, size_t len) {
    return wasmpod_done(wasmpod_raw_shm_write((uint32_t)fd, offset, data, len));
}
/* The value before goes to *old. */
static inline int wasmpod_shm_add32(int fd, uint64_t offset, uint32_t value, uint32_t *old) {
    return wasmpod_done(wasmpod_raw_shm_add32((uint32_t)fd, offset, value, old));
}
static inline int wasmpod_shm_add64(int fd, uint64_t offset, uint64_t value, uint64_t *old) {
    return wasmpod_done(wasmpod_raw_shm_add64((uint32_t)fd, offset, value, old));
}
static inline int wasmpod_shm_cas32(int fd, uint64_t offset, uint32_t expected, uint32_t replacement, uint32_t *old) {
    return wasmpod_done(wasmpod_raw_shm_cas32((uint32_t)fd, offset, expected, replacement, old));
}
static inline int wasmpod_shm_cas64(int fd, uint64_t offset, uint64_t expected, uint64_t replacement, uint64_t *old) {
    return wasmpod_done(wasmpod_raw_shm_cas64((uint32_t)fd, offset, expected, replacement, old));
}
/* futex(2): EAGAIN if the number at offset is not the expected one. */
static inline int wasmpod_shm_wait(int fd, uint64_t offset, uint32_t expected, uint64_t span) {
    return wasmpod_done(wasmpod_raw_shm_wait((uint32_t)fd, offset, expected, wasmpod_deadline(span)));
}
/* How many were woken. */
static inline int wasmpod_shm_notify(int fd, uint64_t offset, uint32_t count) {
    uint32_t woken = 0;
    return wasmpod_done(wasmpod_raw_shm_notify((uint32_t)fd, offset, count, &woken)) ? -1 : (int)woken;
}
/* A descriptor that becomes readable with the next notify at offset. */
static inline int wasmpod_shm_watch(int fd, uint64_t offset, uint32_t expected) {
    uint32_t watch = 0;
    return wasmpod_done(wasmpod_raw_shm_watch((uint32_t)fd, offset, expected, &watch)) ? -1 : (int)watch;
}

#undef WASMPOD_IMPORT

#ifdef __cplusplus
}
#endif

#endif
