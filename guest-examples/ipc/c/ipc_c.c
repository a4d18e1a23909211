/* ipc_c ask|answer: the two sides of an exchange over all three kinds of IPC, in C. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wasmpod/ipc.h>

#define MAKE (WASMPOD_READ | WASMPOD_WRITE | WASMPOD_CREATE)

static int must(const char *what, int result) {
    if (result < 0) {
        printf("FAILED %s: %s\n", what, strerror(errno));
        exit(1);
    }
    return result;
}

static void ask(int questions, int answered, int memory) {
    uint32_t before = 0;
    must("write", wasmpod_shm_write(memory, 8, "from C", 7));
    must("add", wasmpod_shm_add32(memory, 0, 41, &before));
    must("send", wasmpod_mq_send(questions, "later", 5, 1));
    must("send", wasmpod_mq_send(questions, "what is in memory?", 18, 5));
    struct pollfd wait = {.fd = answered, .events = POLLIN};
    printf("poll %d\n", must("poll", poll(&wait, 1, 60000)));
    must("wait", wasmpod_sem_wait(answered));
    must("compare", wasmpod_shm_cas32(memory, 0, 42, 0, &before));
    printf("answered %u\n", before);
    errno = 0;
    printf("again %d", wasmpod_sem_trywait(answered));
    printf(" %s\n", errno == EAGAIN ? "EAGAIN" : "another error");
}

static void answer(int questions, int answered, int memory) {
    char text[64] = "", bytes[7] = "";
    uint32_t priority = 0, before = 0;
    int len = must("receive", wasmpod_mq_receive(questions, text, sizeof text, &priority));
    printf("question %.*s, priority %u\n", len, text, priority);
    must("read", wasmpod_shm_read(memory, 8, bytes, sizeof bytes));
    must("add", wasmpod_shm_add32(memory, 0, 1, &before));
    printf("memory %s %u\n", bytes, before);
    must("post", wasmpod_sem_post(answered));
}

int main(int argc, char **argv) {
    struct wasmpod_mq_attr attr = {.mq_maxmsg = 4, .mq_msgsize = 64};
    int questions = must("mq_open", wasmpod_mq_open("/questions", MAKE, 0600, &attr));
    int answered = must("sem_open", wasmpod_sem_open("/answered", MAKE, 0600, 0));
    int ready = must("sem_open", wasmpod_sem_open("/ready", MAKE, 0600, 0));
    int memory = must("shm_open", wasmpod_shm_open("/memory", MAKE, 0600));
    must("set_size", wasmpod_shm_set_size(memory, 64));
    if (argc == 2 && strcmp(argv[1], "ask") == 0) {
        /* both questions are there before one is taken */
        ask(questions, answered, memory);
    } else if (argc == 2 && strcmp(argv[1], "answer") == 0) {
        struct wasmpod_mq_attr now = {0};
        do {
            errno = 0;
            if (wasmpod_sem_timedwait(ready, 1000000) == 0 || errno != ETIMEDOUT) return 3;
            must("getattr", wasmpod_mq_getattr(questions, &now));
        } while (now.mq_curmsgs < 2);
        answer(questions, answered, memory);
    } else {
        return 2;
    }
    return 0;
}
