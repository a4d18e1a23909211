// WASI as programs of wasi-libc see it: stdio, descriptors, directories, links, times, select and poll.
//
//   wasi_libc CASE|all [DIR]     DIR may be written; the working directory without one
//
// Prints nothing if all is as it must be; each case takes away what it made.

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "check.h"

// The call fails, with this errno.
#define FAILS(call, error) \
  do {                     \
    errno = 0;             \
    IS((call) == -1, 1);   \
    IS(errno, error);      \
  } while (0)

static const char *dir = ".";
static char path_buffer[512];

static const char *at(const char *name) {
  snprintf(path_buffer, sizeof path_buffer, "%s/%s", dir, name);
  return path_buffer;
}

static void stdio(void) {
  char line[64];
  FILE *file = fopen(at("file"), "w+");
  TRUE(file != NULL);
  if (file == NULL) return;
  IS(fprintf(file, "one\ntwo\nthree\n"), 14);
  OK(fseek(file, 4, SEEK_SET));
  TRUE(fgets(line, sizeof line, file) != NULL && strcmp(line, "two\n") == 0);
  IS(ftell(file), 8);
  OK(fseek(file, -6, SEEK_END));
  TRUE(fgets(line, sizeof line, file) != NULL && strcmp(line, "three\n") == 0);
  TRUE(fgets(line, sizeof line, file) == NULL && feof(file));
  rewind(file);
  // what stdio has read ahead is given back by a flush
  IS(fread(line, 1, 4, file), 4);
  OK(fflush(file));
  IS(lseek(fileno(file), 0, SEEK_CUR), 4);
  OK(fclose(file));
  file = fopen(at("file"), "a");
  IS(fputs("four\n", file) >= 0, 1);
  OK(fclose(file));
  struct stat stat_;
  OK(stat(at("file"), &stat_));
  IS(stat_.st_size, 19);
  TRUE(S_ISREG(stat_.st_mode));
  file = fopen(at("file"), "r");
  IS(fputc('x', file), EOF);
  OK(fclose(file));
  errno = 0;
  TRUE(fopen(at("none"), "r") == NULL && errno == ENOENT);
  errno = 0;
  TRUE(fopen(at("file"), "wx") == NULL && errno == EEXIST);
  OK(rename(at("file"), "renamed") == 0 || errno == EXDEV ? 0 : errno);
  remove("renamed");
  remove(at("file"));
  IS(isatty(0) + isatty(1) + isatty(2), 0);
}

static void descriptors(void) {
  char buffer[8] = {0};
  int fd = open(at("f"), O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0644);
  TRUE(fd >= 0);
  if (fd < 0) return;
  IS(write(fd, "ab", 2), 2);
  IS(lseek(fd, 0, SEEK_SET), 0);
  IS(write(fd, "cd", 2), 2);
  IS(lseek(fd, 0, SEEK_CUR), 4);
  IS(pwrite(fd, "efg", 3, 0), 3);
  IS(lseek(fd, 0, SEEK_CUR), 4);
  IS(lseek(fd, 0, SEEK_END), 7);
  FAILS(read(fd, buffer, 1), EBADF);
  IS(fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK | O_ACCMODE), O_APPEND | O_WRONLY);
  OK(fcntl(fd, F_SETFL, O_NONBLOCK));
  IS(fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK), O_NONBLOCK);
  OK(close(fd));
  FAILS(close(fd), EBADF);
  fd = open(at("f"), O_RDONLY);
  IS(pread(fd, buffer, 4, 3), 4);
  IS(memcmp(buffer, "defg", 4), 0);
  FAILS(write(fd, "x", 1), EBADF);
  FAILS(ftruncate(fd, 0), EINVAL);
  FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
  IS(lseek(fd, 100, SEEK_SET), 100);
  IS(read(fd, buffer, 1), 0);
  OK(isatty(fd));
  OK(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
  OK(close(fd));
  fd = open(at("f"), O_RDWR);
  IS(posix_fallocate(fd, 0, 100), ENOTSUP);
  OK(ftruncate(fd, 100));
  struct stat stat_;
  OK(fstat(fd, &stat_));
  IS(stat_.st_size, 100);
  OK(ftruncate(fd, 3));
  OK(fsync(fd));
  OK(fdatasync(fd));
  OK(fstat(fd, &stat_));
  IS(stat_.st_size, 3);
  OK(close(fd));
  FAILS(open(at("f"), O_RDONLY | O_DIRECTORY), ENOTDIR);
  FAILS(open(at("f"), O_CREAT | O_EXCL | O_WRONLY, 0644), EEXIST);
  FAILS(open(dir, O_WRONLY), EISDIR);
  // two files are told apart
  struct stat other;
  fd = open(at("g"), O_CREAT | O_WRONLY, 0644);
  OK(fstat(fd, &other));
  IS(other.st_dev, stat_.st_dev);
  TRUE(other.st_ino != stat_.st_ino);
  OK(close(fd));
  OK(unlink(at("g")));
  OK(unlink(at("f")));
  FAILS(unlink(at("f")), ENOENT);
  FAILS(lseek(1, 0, SEEK_CUR), ESPIPE);
  FAILS(shutdown(1, SHUT_RD), ENOTSOCK);
  FAILS(shutdown(3000, SHUT_RD), EBADF);
}

static void directories(void) {
  OK(mkdir(at("d"), 0755));
  FAILS(mkdir(at("d"), 0755), EEXIST);
  char name[64];
  for (int n = 0; n < 100; n++) {
    snprintf(name, sizeof name, "d/file-%d", n);
    close(open(at(name), O_CREAT | O_WRONLY, 0644));
  }
  OK(symlink("file-0", at("d/link")));
  int fd = open(at("d"), O_RDONLY | O_DIRECTORY);
  DIR *listed = fdopendir(fd);
  TRUE(listed != NULL);
  if (listed == NULL) return;
  int files = 0, links = 0, others = 0;
  long middle = -1;
  char behind_middle[256] = "";
  struct dirent *entry;
  while ((entry = readdir(listed)) != NULL) {
    struct stat stat_;
    if (entry->d_name[0] == '.') continue;
    OK(fstatat(fd, entry->d_name, &stat_, AT_SYMLINK_NOFOLLOW));
    IS(stat_.st_ino, entry->d_ino);
    if (entry->d_type == DT_REG && S_ISREG(stat_.st_mode)) files++;
    else if (entry->d_type == DT_LNK && S_ISLNK(stat_.st_mode)) links++;
    else others++;
    if (files + links == 51) strcpy(behind_middle, entry->d_name);
    if (files + links == 50) middle = telldir(listed);
  }
  IS(files, 100);
  IS(links, 1);
  IS(others, 0);
  // to where one was, and to the start
  seekdir(listed, middle);
  entry = readdir(listed);
  TRUE(entry != NULL && strcmp(entry->d_name, behind_middle) == 0);
  rewinddir(listed);
  entry = readdir(listed);
  TRUE(entry != NULL && strcmp(entry->d_name, ".") == 0);
  // removed while it is listed: every name is met once
  rewinddir(listed);
  files = 0;
  while ((entry = readdir(listed)) != NULL) {
    if (entry->d_name[0] == '.') continue;
    OK(unlinkat(fd, entry->d_name, 0));
    files++;
  }
  IS(files, 101);
  OK(closedir(listed));
  FAILS(unlink(at("d")), EISDIR);
  OK(rmdir(at("d")));
  FAILS(rmdir(at("d")), ENOENT);
  errno = 0;
  TRUE(opendir(at("none")) == NULL && errno == ENOENT);
}

static void links(void) {
  char target[16] = {0};
  close(open(at("f"), O_CREAT | O_WRONLY, 0644));
  OK(symlink("f", at("l")));
  IS(readlink(at("l"), target, sizeof target), 1);
  struct stat stat_;
  OK(lstat(at("l"), &stat_));
  TRUE(S_ISLNK(stat_.st_mode));
  OK(stat(at("l"), &stat_));
  TRUE(S_ISREG(stat_.st_mode));
  FAILS(open(at("l"), O_RDONLY | O_NOFOLLOW), ELOOP);
  FAILS(symlink("/etc/hosts", at("absolute")), EPERM);
  char from[512];
  strcpy(from, at("f"));
  OK(link(from, at("h")));
  OK(stat(at("h"), &stat_));
  IS(stat_.st_nlink, 2);
  OK(access(at("h"), R_OK));
  FAILS(access(at("none"), F_OK), ENOENT);
  struct timespec times[2] = {{.tv_sec = 1000, .tv_nsec = 5}, {.tv_nsec = UTIME_OMIT}};
  struct stat before = stat_;
  OK(utimensat(AT_FDCWD, at("h"), times, 0));
  OK(stat(at("f"), &stat_));
  IS(stat_.st_atim.tv_sec, 1000);
  IS(stat_.st_atim.tv_nsec, 5);
  IS(stat_.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
  OK(unlink(at("h")));
  OK(unlink(at("l")));
  OK(unlink(at("f")));
}

static void waiting(void) {
  struct timespec before, after, pause = {.tv_nsec = 20000000};
  OK(clock_gettime(CLOCK_MONOTONIC, &before));
  OK(nanosleep(&pause, NULL));
  OK(clock_gettime(CLOCK_MONOTONIC, &after));
  long long slept = (after.tv_sec - before.tv_sec) * 1000000000ll + after.tv_nsec - before.tv_nsec;
  TRUE(slept >= 20000000);
  OK(clock_getres(CLOCK_REALTIME, &after));
  TRUE(after.tv_sec == 0 && after.tv_nsec > 0);
  TRUE(time(NULL) > 1500000000);
  // files are always ready; output is
  int fd = open(at("f"), O_CREAT | O_RDWR, 0644);
  struct pollfd polled[] = {{.fd = fd, .events = POLLRDNORM}, {.fd = 1, .events = POLLWRNORM}};
  IS(poll(polled, 2, 1000), 2);
  TRUE(polled[0].revents & POLLRDNORM);
  TRUE(polled[1].revents & POLLWRNORM);
  fd_set reads, writes;
  FD_ZERO(&reads);
  FD_ZERO(&writes);
  FD_SET(fd, &reads);
  FD_SET(fd, &writes);
  struct timeval limit = {.tv_sec = 1};
  IS(select(fd + 1, &reads, &writes, NULL, &limit), 2);
  IS(select(0, NULL, NULL, NULL, &(struct timeval){.tv_usec = 1000}), 0);
  OK(close(fd));
  OK(unlink(at("f")));
}

int main(int argc, char **argv) {
  static const struct test cases[] = {
      {"stdio", stdio}, {"descriptors", descriptors}, {"directories", directories},
      {"links", links}, {"waiting", waiting},
  };
  if (argc < 2) {
    printf("wasi_libc CASE|all [DIR]\n");
    return 2;
  }
  if (argc > 2) dir = argv[2];
  return run_cases(cases, sizeof cases / sizeof *cases, argv[1]);
}
