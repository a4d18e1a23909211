// A server in C as people write it: it sleeps until SIGTERM, cleans up in its loop, and exits with a code of its own.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <wasmpod/process.h>

static volatile int stop = 0;

WASMPOD_SIGNAL_HANDLER(signal) {
    stop = signal;
}

int main(int argc, char **argv) {
    uint32_t pid = 0, before = 0;
    wasmpod_getpid(&pid);
    int failed = wasmpod_signal_action(WASMPOD_SIGTERM, WASMPOD_SIG_HANDLER, &before);
    printf("pid %u waits (%d, was %u)\n", pid, failed, before);
    fflush(stdout);
    while (!stop) {
        struct timespec hour = {.tv_sec = 3600};
        nanosleep(&hour, NULL); // wasi-libc has one error number for all that can end it
        puts("woken");
    }
    printf("stopped by signal %d\n", stop);
    return argc > 1 ? atoi(argv[1]) : 0;
}
