// What the C guests of this suite share: a check that names what it checked, and finding the scratch directory among the
// pre-opened ones by its name, as programs that know no C library's paths do.
#ifndef WASMPOD_CHECK_H
#define WASMPOD_CHECK_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

static int failures;
static const char *running = "";

// `got` must be `want`; says so if not, and goes on: one run shows everything.
static void is_at(int line, const char *what, long long got, long long want) {
  if (got != want) {
    printf("FAILED %s, line %d: %s is %lld, not %lld\n", running, line, what, got, want);
    failures++;
  }
}
#define IS(got, want) is_at(__LINE__, #got, (long long)(got), (long long)(want))
#define OK(call) IS(call, 0)
#define TRUE(condition) IS(!!(condition), 1)

// A call that must work, or there is no point in going on with the case.
#define MUST(call)                \
  do {                            \
    long long outcome_ = (call);  \
    IS(outcome_, 0);              \
    if (outcome_ != 0) return;    \
  } while (0)

// The pre-opened directory called `name`; exits with 2 if there is none.
static inline __wasi_fd_t preopen(const char *name) {
  char found[256];
  for (__wasi_fd_t fd = 3;; fd++) {
    __wasi_prestat_t stat;
    if (__wasi_fd_prestat_get(fd, &stat) != 0) break;
    size_t len = stat.u.dir.pr_name_len;
    if (stat.tag != __WASI_PREOPENTYPE_DIR || len >= sizeof found) continue;
    if (__wasi_fd_prestat_dir_name(fd, (uint8_t *)found, len) != 0) continue;
    found[len] = 0;
    if (strcmp(found, name) == 0) return fd;
  }
  printf("FAILED: no directory is pre-opened as %s\n", name);
  exit(2);
}

// Runs the case that the first argument names, or all of them for "all". Exits with 0, 1 if a check failed, or 2.
struct test {
  const char *name;
  void (*run)(void);
};

static int run_cases(const struct test *cases, size_t count, const char *name) {
  int ran = 0;
  for (size_t at = 0; at < count; at++) {
    if (strcmp(name, "all") != 0 && strcmp(name, cases[at].name) != 0) continue;
    running = cases[at].name;
    cases[at].run();
    ran++;
  }
  if (ran == 0) {
    printf("no case is called %s\n", name);
    return 2;
  }
  return failures == 0 ? 0 : 1;
}

#endif
