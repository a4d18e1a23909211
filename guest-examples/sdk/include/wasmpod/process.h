// Processes and signals in a pod of wasmpod, for programs of WASI 0.1. Numbers and rules are those of signal(7); what differs is in
// specs/wit/process/process.wit. Every call returns 0 or an errno of <errno.h>.
#ifndef WASMPOD_PROCESS_H
#define WASMPOD_PROCESS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WASMPOD_PROCESS(name) __attribute__((import_module("wasmpod_process_v0"), import_name(#name)))

enum { WASMPOD_SIGHUP = 1, WASMPOD_SIGINT = 2, WASMPOD_SIGKILL = 9, WASMPOD_SIGUSR1 = 10, WASMPOD_SIGUSR2 = 12, WASMPOD_SIGPIPE = 13,
       WASMPOD_SIGTERM = 15, WASMPOD_SIGCHLD = 17, WASMPOD_SIGCONT = 18, WASMPOD_SIGSTOP = 19 };

// The bit of a signal in a set.
#define WASMPOD_SIGBIT(signal) (UINT64_C(1) << ((signal) - 1))

// What is done with a signal.
enum { WASMPOD_SIG_DEFAULT = 0, WASMPOD_SIG_IGNORE = 1, WASMPOD_SIG_HANDLER = 2, WASMPOD_SIG_HANDLER_RESTART = 3 };

// What to do with a mask.
enum { WASMPOD_SIG_BLOCK = 0, WASMPOD_SIG_UNBLOCK = 1, WASMPOD_SIG_SETMASK = 2 };

// A record of what fd_read gives on a descriptor of wasmpod_signal_fd: struct signalfd_siginfo.
struct wasmpod_siginfo {
    uint32_t signo;
    uint32_t unused[2];
    uint32_t pid; // 0 for the container runtime
    uint32_t uid;
    uint8_t rest[108];
};

// Define this to have handlers: it runs in a call that waits, or at the end of the next one that might.
#define WASMPOD_SIGNAL_HANDLER(signal) \
    __attribute__((export_name("__wasmpod_signal_handler"))) void __wasmpod_signal_handler(int signal)

WASMPOD_PROCESS(getpid) int wasmpod_getpid(uint32_t *pid);
WASMPOD_PROCESS(getppid) int wasmpod_getppid(uint32_t *pid);
WASMPOD_PROCESS(getuid) int wasmpod_getuid(uint32_t *uid);
WASMPOD_PROCESS(getgid) int wasmpod_getgid(uint32_t *gid);
// The numbers of up to `len` processes; how many there are goes to `count`.
WASMPOD_PROCESS(process_list) int wasmpod_process_list(uint32_t *pids, uint32_t len, uint32_t *count);
// kill(2); with signal 0 only asks whether one may.
WASMPOD_PROCESS(kill) int wasmpod_kill(int32_t pid, uint32_t signal);
// sigaction(2). A handler needs WASMPOD_SIGNAL_HANDLER, else ENOTSUP.
WASMPOD_PROCESS(signal_action) int wasmpod_signal_action(uint32_t signal, uint32_t action, uint32_t *before);
// sigprocmask(2)
WASMPOD_PROCESS(signal_mask) int wasmpod_signal_mask(uint32_t how, uint64_t set, uint64_t *before);
// sigpending(2)
WASMPOD_PROCESS(signal_pending) int wasmpod_signal_pending(uint64_t *set);
// sigsuspend(2): waits with this mask until a handler has run; always EINTR.
WASMPOD_PROCESS(signal_suspend) int wasmpod_signal_suspend(uint64_t mask);
// signalfd(2): a descriptor to read and poll; `flags` are 0 or __WASI_FDFLAGS_NONBLOCK.
WASMPOD_PROCESS(signal_fd) int wasmpod_signal_fd(uint64_t set, uint32_t flags, uint32_t *fd);

#ifdef __cplusplus
}
#endif
#endif
