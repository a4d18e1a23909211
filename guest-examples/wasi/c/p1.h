// Preview 1's calls in few words, all on the directory `top`: the errno, or what was moved and found with the errno made negative.
#ifndef WASMPOD_P1_H
#define WASMPOD_P1_H

#include "check.h"

#define READ __WASI_RIGHTS_FD_READ
#define WRITE __WASI_RIGHTS_FD_WRITE
#define CREAT __WASI_OFLAGS_CREAT
#define EXCL __WASI_OFLAGS_EXCL
#define TRUNC __WASI_OFLAGS_TRUNC
#define DIRECTORY __WASI_OFLAGS_DIRECTORY
#define FOLLOW __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW
#define E(name) __WASI_ERRNO_##name

static __wasi_fd_t top;

// The C functions take C strings; a path with a NUL in it needs the import itself.
__attribute__((import_module("wasi_snapshot_preview1"), import_name("path_create_directory"))) int
mkdir_of(int fd, const char *path, size_t len);
// wasi-libc has no declaration of this one.
__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_raise"))) int proc_raise(int signal);

static int open_at(const char *path, int lookup, int oflags, __wasi_rights_t rights, int fdflags, __wasi_fd_t *fd) {
  return __wasi_path_open(top, lookup, path, oflags, rights, 0, fdflags, fd);
}

// Opens and closes: the errno alone.
static int opens(const char *path, int lookup, int oflags, __wasi_rights_t rights) {
  __wasi_fd_t fd;
  int error = open_at(path, lookup, oflags, rights, 0, &fd);
  return error ? error : __wasi_fd_close(fd);
}

static int make(const char *path) { return opens(path, 0, CREAT, 0); }
static int gone(const char *path) { return __wasi_path_unlink_file(top, path); }
static int mkdir_(const char *path) { return __wasi_path_create_directory(top, path); }
static int rmdir_(const char *path) { return __wasi_path_remove_directory(top, path); }
static int link_(const char *old, const char *new) { return __wasi_path_link(top, 0, old, top, new); }
static int move(const char *old, const char *new) { return __wasi_path_rename(top, old, top, new); }
static int point(const char *path, const char *at) { return __wasi_path_symlink(path, top, at); }

static int put(__wasi_fd_t fd, const char *text) {
  __wasi_ciovec_t buffer = {(const uint8_t *)text, strlen(text)};
  size_t written;
  int error = __wasi_fd_write(fd, &buffer, 1, &written);
  return error ? -error : (int)written;
}

static int put_at(__wasi_fd_t fd, const char *text, __wasi_filesize_t at) {
  __wasi_ciovec_t buffer = {(const uint8_t *)text, strlen(text)};
  size_t written;
  int error = __wasi_fd_pwrite(fd, &buffer, 1, at, &written);
  return error ? -error : (int)written;
}

static char text[4096];

static int get(__wasi_fd_t fd, size_t len) {
  memset(text, 0, sizeof text);
  __wasi_iovec_t buffer = {(uint8_t *)text, len};
  size_t read;
  int error = __wasi_fd_read(fd, &buffer, 1, &read);
  return error ? -error : (int)read;
}

static int get_at(__wasi_fd_t fd, size_t len, __wasi_filesize_t at) {
  memset(text, 0, sizeof text);
  __wasi_iovec_t buffer = {(uint8_t *)text, len};
  size_t read;
  int error = __wasi_fd_pread(fd, &buffer, 1, at, &read);
  return error ? -error : (int)read;
}

static long long seek(__wasi_fd_t fd, __wasi_filedelta_t by, int whence) {
  __wasi_filesize_t at;
  int error = __wasi_fd_seek(fd, by, whence, &at);
  return error ? -error : (long long)at;
}

static long long size_of(const char *path) {
  __wasi_filestat_t stat;
  int error = __wasi_path_filestat_get(top, 0, path, &stat);
  return error ? -error : (long long)stat.size;
}

static int type_of(const char *path, int lookup) {
  __wasi_filestat_t stat;
  int error = __wasi_path_filestat_get(top, lookup, path, &stat);
  return error ? -error : stat.filetype;
}

static uint8_t listing[65536];

struct entry {
  __wasi_dirent_t head;
  char name[256];
};

// Reads whole entries from `cookie` on with a buffer of `len` bytes: how many; `more` if the buffer was full.
static int list(__wasi_fd_t fd, size_t len, __wasi_dircookie_t cookie, struct entry *found, int max, int *more) {
  size_t used;
  int count = 0, error = __wasi_fd_readdir(fd, listing, len, cookie, &used);
  if (error) return -error;
  *more = used == len;
  for (size_t at = 0; at + sizeof(__wasi_dirent_t) <= used && count < max; count++) {
    memcpy(&found[count].head, listing + at, sizeof(__wasi_dirent_t));
    size_t name = found[count].head.d_namlen;
    if (at + sizeof(__wasi_dirent_t) + name > used) break;
    memcpy(found[count].name, listing + at + sizeof(__wasi_dirent_t), name);
    found[count].name[name] = 0;
    at += sizeof(__wasi_dirent_t) + name;
  }
  return count;
}

#endif
