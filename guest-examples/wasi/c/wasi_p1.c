// Preview 1, call by call: what each answers, right and wrong, as wasi_snapshot_preview1.witx says and wasmtime does.
//
//   wasi_p1 CASE|all [SCRATCH]     SCRATCH is the name of a pre-opened directory that may be written; "." without one
//
// Prints nothing if all is as it must be; each case takes away what it made.

#include <limits.h>
#include "p1.h"

// Which flags of path_open go together, and what they do to what is there.
static void opening(void) {
  IS(opens("none", 0, 0, 0), E(NOENT));
  IS(opens("none", 0, EXCL, 0), E(NOENT));
  IS(opens("none", 0, TRUNC, 0), E(NOENT));
  IS(opens("none", 0, DIRECTORY, 0), E(NOENT));
  MUST(opens("f", 0, CREAT | EXCL, 0));
  IS(opens("f", 0, CREAT | EXCL, 0), E(EXIST));
  IS(opens("f", 0, CREAT, 0), 0);
  IS(opens("f", 0, DIRECTORY, 0), E(NOTDIR));
  IS(opens("f", 0, CREAT | DIRECTORY, 0), E(INVAL));
  IS(opens("f", 0, EXCL | DIRECTORY, 0), E(INVAL));
  IS(opens("f", 0, TRUNC | DIRECTORY, 0), E(INVAL));
  __wasi_fd_t fd;
  __wasi_fdstat_t stat;
  // to make or to cut is to open for writing; no FD_WRITE is to open for reading
  MUST(open_at("f", 0, CREAT, 0, 0, &fd));
  OK(__wasi_fd_fdstat_get(fd, &stat));
  IS(stat.fs_rights_base & (READ | WRITE), READ | WRITE);
  IS(put(fd, "content"), 7);
  OK(__wasi_fd_close(fd));
  IS(size_of("f"), 7);
  MUST(open_at("f", 0, TRUNC, READ, 0, &fd));
  OK(__wasi_fd_fdstat_get(fd, &stat));
  IS(stat.fs_rights_base & (READ | WRITE), READ | WRITE);
  IS(get(fd, 10), 0);
  OK(__wasi_fd_close(fd));
  IS(size_of("f"), 0);
  MUST(open_at("f", 0, CREAT, WRITE, 0, &fd));
  IS(get(fd, 1), -E(BADF));
  IS(get_at(fd, 1, 0), -E(BADF));
  OK(__wasi_fd_close(fd));
  MUST(open_at("f", 0, 0, 0, 0, &fd));
  IS(get(fd, 1), 0);
  IS(put(fd, "x"), -E(BADF));
  IS(put(fd, ""), -E(BADF));
  IS(put_at(fd, "x", 0), -E(BADF));
  IS(__wasi_fd_filestat_set_size(fd, 1), E(INVAL));
  OK(__wasi_fd_close(fd));
  for (int flag = 0; flag < 3; flag++) {
    int sync[] = {__WASI_FDFLAGS_SYNC, __WASI_FDFLAGS_DSYNC, __WASI_FDFLAGS_RSYNC};
    IS(open_at("f", 0, 0, READ | WRITE, sync[flag], &fd), E(NOTSUP));
  }
  IS(__wasi_path_open(0, 0, "f", 0, 0, 0, 0, &fd), E(BADF));
  MUST(open_at("f", 0, 0, READ, 0, &fd));
  __wasi_fd_t other;
  IS(__wasi_path_open(fd, 0, "f", 0, 0, 0, 0, &other), E(NOTDIR));
  OK(__wasi_fd_close(fd));
  // directories are opened for reading only
  IS(opens(".", 0, 0, 0), 0);
  IS(opens(".", 0, DIRECTORY, READ), 0);
  IS(opens(".", 0, DIRECTORY, READ | WRITE), E(ISDIR));
  IS(opens(".", 0, CREAT, 0), E(ISDIR));
  IS(opens(".", 0, TRUNC, 0), E(ISDIR));
  OK(gone("f"));
}

// What a path may look like, in the calls that take one.
static void paths(void) {
  MUST(mkdir_("d"));
  OK(mkdir_("d/e/"));
  IS(mkdir_("d"), E(EXIST));
  IS(mkdir_("d/"), E(EXIST));
  IS(mkdir_("."), E(EXIST));
  IS(mkdir_("none/x"), E(NOENT));
  IS(mkdir_(""), E(NOENT));
  IS(mkdir_("/x"), E(PERM));
  IS(mkdir_("../x"), E(PERM));
  OK(make("d/e/f"));
  IS(opens("d/.//e/../../d/e/../e///./f", 0, 0, 0), 0);
  IS(opens("/d/e/f", 0, 0, 0), E(PERM));
  IS(opens("d/e/../../../d/e/f", 0, 0, 0), E(PERM));
  IS(opens("..", 0, 0, 0), E(PERM));
  IS(opens("", 0, 0, 0), E(NOENT));
  IS(opens("d/e/f/", 0, 0, 0), E(NOTDIR));
  IS(opens("d/e/f///", 0, 0, 0), E(NOTDIR));
  IS(opens("d/e/f/.", 0, 0, 0), E(NOTDIR));
  IS(opens("d/e/f/x", 0, 0, 0), E(NOTDIR));
  IS(opens("d/e/", 0, 0, 0), 0);
  IS(opens("d/e///", 0, DIRECTORY, 0), 0);
  IS(opens("d/new/", 0, CREAT, 0), E(ISDIR));
  __wasi_filestat_t stat;
  IS(__wasi_path_filestat_get(top, 0, "d/e/f/", &stat), E(NOTDIR));
  IS(__wasi_path_filestat_get(top, 0, "", &stat), E(NOENT));
  IS(__wasi_path_filestat_get(top, 0, "/", &stat), E(PERM));
  IS(type_of("d/e/", 0), __WASI_FILETYPE_DIRECTORY);
  char name[300];
  memset(name, 'n', sizeof name);
  name[255] = 0;
  OK(make(name));
  OK(gone(name));
  name[255] = 'n', name[256] = 0;
  IS(make(name), E(NAMETOOLONG));
  // bytes that are no text, and a NUL: no C string can hold it
  IS(make("\xff\xfe"), E(ILSEQ));
  IS(mkdir_of(top, "a\0b", 3), E(INVAL));
  // removing
  IS(gone("d"), E(ISDIR));
  IS(gone("d/"), E(ISDIR));
  IS(gone("d/e/f/"), E(NOTDIR));
  IS(gone("none"), E(NOENT));
  IS(gone(""), E(NOENT));
  IS(rmdir_("d/e/f"), E(NOTDIR));
  IS(rmdir_("d/e/f/"), E(NOTDIR));
  IS(rmdir_("d"), E(NOTEMPTY));
  IS(rmdir_("none"), E(NOENT));
  IS(rmdir_("d/e/."), E(INVAL));
  OK(gone("d/e/f"));
  OK(rmdir_("d/e/"));
  OK(rmdir_("d"));
}

static void links(void) {
  char target[16];
  size_t used;
  MUST(make("f"));
  MUST(mkdir_("d"));
  OK(point("f", "l"));
  IS(point("f", "l"), E(EXIST));
  IS(point("f", "d"), E(EXIST));
  IS(point("f", "d/"), E(EXIST));
  IS(point("f", "f/"), E(NOTDIR));
  IS(point("f", "new/"), E(NOENT));
  IS(point("f", ""), E(NOENT));
  IS(point("", "new"), E(NOENT));
  IS(point("/", "new"), E(PERM));
  IS(point("/f", "new"), E(PERM));
  IS(type_of("new", 0), -E(NOENT));
  // reading one: what does not fit is cut off, what is behind is left alone
  memset(target, '-', sizeof target);
  OK(point("directory", "long"));
  OK(__wasi_path_readlink(top, "long", (uint8_t *)target, sizeof target, &used));
  IS(used, 9);
  TRUE(memcmp(target, "directory-------", 16) == 0);
  memset(target, '-', sizeof target);
  OK(__wasi_path_readlink(top, "long", (uint8_t *)target, 4, &used));
  IS(used, 4);
  TRUE(memcmp(target, "dire----", 8) == 0);
  IS(__wasi_path_readlink(top, "f", (uint8_t *)target, 4, &used), E(INVAL));
  IS(__wasi_path_readlink(top, "none", (uint8_t *)target, 4, &used), E(NOENT));
  // following one
  IS(type_of("l", 0), __WASI_FILETYPE_SYMBOLIC_LINK);
  IS(type_of("l", FOLLOW), __WASI_FILETYPE_REGULAR_FILE);
  IS(opens("l", 0, 0, 0), E(LOOP));
  IS(opens("l", FOLLOW, 0, 0), 0);
  IS(opens("l", FOLLOW, DIRECTORY, 0), E(NOTDIR));
  int error = opens("l", 0, DIRECTORY, 0);
  TRUE(error == E(LOOP) || error == E(NOTDIR));
  IS(opens("l", FOLLOW, CREAT | EXCL, 0), E(EXIST));
  IS(opens("long", FOLLOW, 0, 0), E(NOENT));
  IS(opens("long", 0, 0, 0), E(LOOP));
  OK(point("loop", "loop"));
  IS(opens("loop", FOLLOW, 0, 0), E(LOOP));
  IS(opens("loop", 0, 0, 0), E(LOOP));
  IS(opens("loop/x", 0, 0, 0), E(LOOP));
  OK(point("../../out", "d/out"));
  // out of the scratch directory, or, if that is the root, to what is not there: "/.." is "/"
  error = opens("d/out", FOLLOW, 0, 0);
  TRUE(error == E(PERM) || error == E(NOENT));
  OK(point("../f", "d/in"));
  IS(opens("d/in", FOLLOW, 0, 0), 0);
  OK(point("d", "to-d"));
  IS(opens("to-d/in", FOLLOW, 0, 0), 0);
  IS(opens("to-d", FOLLOW, DIRECTORY, 0), 0);
  // hard links
  OK(link_("f", "h"));
  __wasi_filestat_t a, b;
  OK(__wasi_path_filestat_get(top, 0, "f", &a));
  OK(__wasi_path_filestat_get(top, 0, "h", &b));
  IS(a.ino, b.ino);
  IS(a.nlink, 2);
  IS(b.dev, a.dev);
  IS(link_("f", "h"), E(EXIST));
  IS(link_("f", "f"), E(EXIST));
  IS(link_("f", "d"), E(EXIST));
  IS(link_("f", "l"), E(EXIST));
  IS(link_("f", "long"), E(EXIST));
  IS(link_("f", "new/"), E(NOENT));
  IS(link_("d", "new"), E(PERM));
  IS(link_("none", "new"), E(NOENT));
  IS(__wasi_path_link(top, FOLLOW, "l", top, "new"), E(INVAL));
  IS(__wasi_path_link(top, FOLLOW, "long", top, "new"), E(INVAL));
  OK(link_("long", "long2"));
  IS(type_of("long2", 0), __WASI_FILETYPE_SYMBOLIC_LINK);
  OK(link_("loop", "loop2"));
  const char *made[] = {"h", "long2", "loop2", "l", "long", "loop", "d/out", "d/in", "to-d", "f"};
  for (size_t at = 0; at < sizeof made / sizeof *made; at++) OK(gone(made[at]));
  OK(rmdir_("d"));
}

static void renames(void) {
  // a directory: to nothing, onto an empty one, not onto others
  MUST(mkdir_("s"));
  OK(move("s", "t"));
  IS(opens("s", 0, DIRECTORY, 0), E(NOENT));
  OK(mkdir_("s"));
  OK(move("s", "t"));
  IS(opens("s", 0, DIRECTORY, 0), E(NOENT));
  OK(mkdir_("s"));
  OK(make("t/f"));
  IS(move("s", "t"), E(NOTEMPTY));
  IS(move("s", "t/f"), E(NOTDIR));
  IS(move("t", "t/inner"), E(INVAL));
  IS(move("t/f", "s"), E(ISDIR));
  IS(move("none", "x"), E(NOENT));
  IS(move("s", "none/x"), E(NOENT));
  IS(move("s", ""), E(NOENT));
  IS(move("", "s"), E(NOENT));
  IS(move("/s", "x"), E(PERM));
  IS(move("s", "../x"), E(PERM));
  // with slashes behind
  OK(move("s/", "u"));
  OK(move("u", "s/"));
  OK(move("s/", "u/"));
  OK(move("u", "s"));
  IS(move("t/f/", "t/g"), E(NOTDIR));
  IS(move("t/f", "t/g/"), E(NOTDIR));
  // a file: to nothing, onto a file, onto itself, onto another name of itself
  OK(move("t/f", "f"));
  OK(make("g"));
  OK(move("f", "g"));
  IS(type_of("f", 0), -E(NOENT));
  OK(move("g", "g"));
  OK(link_("g", "h"));
  OK(move("g", "h"));
  IS(type_of("g", 0), __WASI_FILETYPE_REGULAR_FILE);
  IS(type_of("h", 0), __WASI_FILETYPE_REGULAR_FILE);
  // a link is moved, not followed
  OK(point("nowhere", "l"));
  OK(move("l", "m"));
  IS(type_of("m", 0), __WASI_FILETYPE_SYMBOLIC_LINK);
  IS(move("m/", "n"), E(NOTDIR));
  OK(move("g", "m"));
  IS(type_of("m", 0), __WASI_FILETYPE_REGULAR_FILE);
  OK(gone("m"));
  OK(gone("h"));
  OK(rmdir_("s"));
  OK(rmdir_("t"));
}

// Positions, appending, holes, sizes, and the calls that change nothing.
static void files(void) {
  __wasi_fd_t fd;
  __wasi_filestat_t stat;
  MUST(open_at("f", 0, CREAT | TRUNC, READ | WRITE, 0, &fd));
  __wasi_filesize_t at;
  OK(__wasi_fd_tell(fd, &at));
  IS(at, 0);
  // nothing written behind the end changes nothing
  IS(seek(fd, 2, __WASI_WHENCE_SET), 2);
  IS(put(fd, ""), 0);
  OK(__wasi_fd_filestat_get(fd, &stat));
  IS(stat.size, 0);
  IS(put_at(fd, "", 9), 0);
  IS(size_of("f"), 0);
  IS(put(fd, "x"), 1);
  OK(__wasi_fd_tell(fd, &at));
  IS(at, 3);
  IS(get_at(fd, 10, 0), 3);
  TRUE(memcmp(text, "\0\0x", 3) == 0);
  IS(put_at(fd, "abc", 0), 3);
  IS(put_at(fd, "z", 9), 1);
  IS(size_of("f"), 10);
  IS(get_at(fd, 10, 3), 7);
  TRUE(memcmp(text, "\0\0\0\0\0\0z", 7) == 0);
  IS(get_at(fd, 5, 10), 0);
  IS(get_at(fd, 5, 1ull << 40), 0);
  OK(__wasi_fd_tell(fd, &at));
  IS(at, 3);
  IS(seek(fd, -1, __WASI_WHENCE_END), 9);
  IS(seek(fd, -9, __WASI_WHENCE_CUR), 0);
  IS(seek(fd, 1000, __WASI_WHENCE_CUR), 1000);
  IS(get(fd, 5), 0);
  IS(seek(fd, -1001, __WASI_WHENCE_CUR), -E(INVAL));
  IS(seek(fd, -1, __WASI_WHENCE_SET), -E(INVAL));
  IS(seek(fd, -11, __WASI_WHENCE_END), -E(INVAL));
  IS(seek(fd, 0, 3), -E(INVAL));
  IS(seek(fd, LLONG_MAX, __WASI_WHENCE_CUR), -E(INVAL));
  OK(__wasi_fd_tell(fd, &at));
  IS(at, 1000);
  // sizes
  OK(__wasi_fd_filestat_set_size(fd, 100));
  IS(size_of("f"), 100);
  OK(__wasi_fd_filestat_set_size(fd, 2));
  IS(get_at(fd, 10, 0), 2);
  OK(__wasi_fd_filestat_set_size(fd, 4));
  IS(get_at(fd, 10, 0), 4);
  TRUE(memcmp(text, "ab\0\0", 4) == 0);
  IS(__wasi_fd_filestat_set_size(fd, ~0ull) != 0, 1);
  // preview 2 has no such call, and wasmtime none for either
  IS(__wasi_fd_allocate(fd, 0, 100), E(NOTSUP));
  IS(size_of("f"), 4);
  for (int advice = 0; advice < 6; advice++) OK(__wasi_fd_advise(fd, 10, 50, advice));
  OK(__wasi_fd_advise(fd, 0, 0, __WASI_ADVICE_NORMAL));
  IS(__wasi_fd_advise(fd, 0, 0, 6), E(INVAL));
  IS(size_of("f"), 4);
  OK(__wasi_fd_sync(fd));
  OK(__wasi_fd_datasync(fd));
  OK(__wasi_fd_close(fd));
  // appending: every write goes to the end, pwrite too, and only write moves the position
  MUST(open_at("f", 0, CREAT | TRUNC, READ | WRITE, __WASI_FDFLAGS_APPEND, &fd));
  IS(put(fd, "ab"), 2);
  IS(seek(fd, 0, __WASI_WHENCE_SET), 0);
  IS(put(fd, "cd"), 2);
  OK(__wasi_fd_tell(fd, &at));
  IS(at, 4);
  IS(put_at(fd, "efg", 0), 3);
  OK(__wasi_fd_tell(fd, &at));
  IS(at, 4);
  IS(get_at(fd, 10, 0), 7);
  TRUE(memcmp(text, "abcdefg", 7) == 0);
  OK(__wasi_fd_fdstat_set_flags(fd, __WASI_FDFLAGS_NONBLOCK));
  IS(put_at(fd, "X", 0), 1);
  IS(get_at(fd, 1, 0), 1);
  IS(text[0], 'X');
  __wasi_fdstat_t fdstat;
  OK(__wasi_fd_fdstat_get(fd, &fdstat));
  IS(fdstat.fs_flags, __WASI_FDFLAGS_NONBLOCK);
  IS(__wasi_fd_fdstat_set_flags(fd, __WASI_FDFLAGS_SYNC), E(INVAL));
  // a file that has no name any more
  OK(gone("f"));
  OK(__wasi_fd_filestat_get(fd, &stat));
  IS(stat.nlink, 0);
  IS(get_at(fd, 1, 0), 1);
  OK(__wasi_fd_close(fd));
  // scattered buffers
  MUST(open_at("f", 0, CREAT, READ | WRITE, 0, &fd));
  __wasi_ciovec_t out[] = {{(const uint8_t *)"ab", 2}, {NULL, 0}, {(const uint8_t *)"cd", 2}};
  size_t moved;
  OK(__wasi_fd_write(fd, out, 3, &moved));
  IS(moved, 4);
  char first[1], second[9] = {0};
  __wasi_iovec_t in[] = {{(uint8_t *)first, 1}, {(uint8_t *)second, 8}};
  OK(__wasi_fd_pread(fd, in, 2, 0, &moved));
  IS(moved, 4);
  TRUE(first[0] == 'a' && strcmp(second, "bcd") == 0);
  OK(__wasi_fd_close(fd));
  OK(gone("f"));
}

static void times(void) {
  __wasi_fd_t fd;
  __wasi_filestat_t stat, later;
  const __wasi_timestamp_t day = 86400ull * 1000000000ull;
  MUST(make("f"));
  OK(point("f", "l"));
  // whatever it was opened for
  MUST(open_at("f", 0, 0, READ, 0, &fd));
  OK(__wasi_fd_filestat_get(fd, &stat));
  OK(__wasi_fd_filestat_set_times(fd, 1, stat.mtim - day, __WASI_FSTFLAGS_MTIM));
  OK(__wasi_fd_filestat_get(fd, &later));
  IS(later.mtim, stat.mtim - day);
  IS(later.atim, stat.atim);
  OK(__wasi_fd_filestat_set_times(fd, 0, 0, __WASI_FSTFLAGS_MTIM_NOW | __WASI_FSTFLAGS_ATIM_NOW));
  OK(__wasi_fd_filestat_get(fd, &later));
  TRUE(later.mtim >= stat.mtim);
  OK(__wasi_fd_filestat_set_times(fd, 7, 7, 0));
  IS(__wasi_fd_filestat_set_times(fd, 0, 0, __WASI_FSTFLAGS_MTIM | __WASI_FSTFLAGS_MTIM_NOW), E(INVAL));
  IS(__wasi_fd_filestat_set_times(fd, 0, 0, __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_ATIM_NOW), E(INVAL));
  OK(__wasi_fd_close(fd));
  int both = __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_MTIM;
  OK(__wasi_path_filestat_set_times(top, FOLLOW, "l", day, 2 * day, both));
  OK(__wasi_path_filestat_get(top, 0, "f", &stat));
  IS(stat.atim, day);
  IS(stat.mtim, 2 * day);
  // the link itself
  OK(__wasi_path_filestat_set_times(top, 0, "l", 3 * day, 4 * day, both));
  OK(__wasi_path_filestat_get(top, 0, "l", &later));
  IS(later.mtim, 4 * day);
  OK(__wasi_path_filestat_get(top, FOLLOW, "l", &later));
  IS(later.mtim, 2 * day);
  IS(__wasi_path_filestat_set_times(top, 0, "f", 0, 0, __WASI_FSTFLAGS_MTIM | __WASI_FSTFLAGS_MTIM_NOW), E(INVAL));
  IS(__wasi_path_filestat_set_times(top, 0, "none", 0, 0, both), E(NOENT));
  IS(__wasi_fd_filestat_set_times(1, 0, 0, both), E(BADF));
  // a directory
  OK(mkdir_("d"));
  MUST(open_at("d", 0, DIRECTORY, 0, 0, &fd));
  OK(__wasi_fd_filestat_set_times(fd, day, 2 * day, both));
  OK(__wasi_fd_filestat_get(fd, &stat));
  IS(stat.mtim, 2 * day);
  OK(__wasi_fd_close(fd));
  OK(rmdir_("d"));
  OK(gone("l"));
  OK(gone("f"));
}

// What descriptors are, their numbers, and calls on the wrong kind.
static void descriptors(void) {
  __wasi_fd_t fd, dir, a, b;
  __wasi_fdstat_t stat;
  __wasi_filestat_t filestat;
  __wasi_prestat_t prestat;
  size_t moved;
  uint8_t byte[16];
  __wasi_iovec_t in = {byte, sizeof byte};
  __wasi_ciovec_t out = {byte, sizeof byte};
  // a pre-opened directory has what userlands expect, and neither reads nor seeks
  OK(__wasi_fd_fdstat_get(top, &stat));
  IS(stat.fs_filetype, __WASI_FILETYPE_DIRECTORY);
  IS(stat.fs_flags, 0);
  TRUE(stat.fs_rights_base & __WASI_RIGHTS_PATH_OPEN);
  IS(stat.fs_rights_base & (READ | WRITE | __WASI_RIGHTS_FD_SEEK | __WASI_RIGHTS_FD_FILESTAT_SET_SIZE), 0);
  TRUE((stat.fs_rights_inheriting & (READ | WRITE)) == (READ | WRITE));
  OK(__wasi_fd_prestat_get(top, &prestat));
  char name[256];
  IS(__wasi_fd_prestat_dir_name(top, (uint8_t *)name, 0), E(NAMETOOLONG));
  OK(__wasi_fd_prestat_dir_name(top, (uint8_t *)name, sizeof name));
  MUST(open_at(".", 0, DIRECTORY, 0, 0, &dir));
  OK(__wasi_fd_fdstat_get(dir, &stat));
  IS(stat.fs_rights_base & (__WASI_RIGHTS_FD_FILESTAT_SET_SIZE | __WASI_RIGHTS_PATH_FILESTAT_SET_SIZE), 0);
  IS(__wasi_fd_prestat_get(dir, &prestat), E(BADF));
  IS(__wasi_fd_prestat_dir_name(dir, (uint8_t *)name, sizeof name), E(NOTDIR));
  OK(__wasi_fd_filestat_get(dir, &filestat));
  IS(filestat.filetype, __WASI_FILETYPE_DIRECTORY);
  __wasi_filesize_t at;
  IS(__wasi_fd_read(dir, &in, 1, &moved), E(BADF));
  IS(__wasi_fd_pread(dir, &in, 1, 0, &moved), E(BADF));
  IS(__wasi_fd_write(dir, &out, 1, &moved), E(BADF));
  IS(__wasi_fd_pwrite(dir, &out, 1, 0, &moved), E(BADF));
  IS(seek(dir, 0, __WASI_WHENCE_CUR), -E(BADF));
  IS(__wasi_fd_tell(dir, &at), E(BADF));
  IS(__wasi_fd_advise(dir, 0, 0, __WASI_ADVICE_DONTNEED), E(BADF));
  IS(__wasi_fd_allocate(dir, 0, 0), E(BADF));
  IS(__wasi_fd_sync(dir), E(BADF));
  IS(__wasi_fd_datasync(dir), E(BADF));
  IS(__wasi_fd_fdstat_set_flags(dir, __WASI_FDFLAGS_NONBLOCK), E(BADF));
  IS(__wasi_fd_filestat_set_size(dir, 0), E(BADF));
  IS(__wasi_fd_fdstat_set_rights(dir, 0, 0), E(NOTSUP));
  OK(__wasi_fd_close(dir));
  // a number that is not open
  __wasi_fd_t wrong[] = {dir, 1000, 0x80000000u, ~0u};
  for (size_t n = 0; n < sizeof wrong / sizeof *wrong; n++) {
    fd = wrong[n];
    IS(__wasi_fd_close(fd), E(BADF));
    IS(__wasi_fd_fdstat_get(fd, &stat), E(BADF));
    IS(__wasi_fd_filestat_get(fd, &filestat), E(BADF));
    IS(__wasi_fd_fdstat_set_rights(fd, 0, 0), E(BADF));
    IS(__wasi_fd_read(fd, &in, 1, &moved), E(BADF));
    IS(__wasi_fd_write(fd, &out, 1, &moved), E(BADF));
    IS(__wasi_fd_write(fd, NULL, 0, &moved), E(BADF));
    IS(__wasi_fd_readdir(fd, byte, sizeof byte, 0, &moved), E(BADF));
    IS(__wasi_fd_renumber(fd, 0), E(BADF));
    IS(__wasi_fd_renumber(0, fd), E(BADF));
    IS(__wasi_path_create_directory(fd, "x"), E(BADF));
    IS(__wasi_sock_shutdown(fd, __WASI_SDFLAGS_RD), E(BADF));
  }
  // renumbering
  MUST(open_at("a", 0, CREAT, READ | WRITE, 0, &a));
  MUST(open_at("b", 0, CREAT, READ | WRITE, 0, &b));
  IS(put(a, "a"), 1);
  OK(__wasi_fd_renumber(a, a));
  OK(__wasi_fd_renumber(0, 0));
  OK(__wasi_fd_renumber(a, b));
  IS(__wasi_fd_close(a), E(BADF));
  IS(get_at(b, 1, 0), 1);
  IS(text[0], 'a');
  for (int times = 0; times < 2000; times++) {
    if (open_at("a", 0, 0, READ, 0, &a) != 0 || __wasi_fd_renumber(a, b) != 0) {
      IS(times, 2000);
      break;
    }
  }
  OK(__wasi_fd_close(b));
  for (int times = 0; times < 2000; times++) {
    if (open_at("a", 0, 0, READ, 0, &a) != 0 || __wasi_fd_close(a) != 0) {
      IS(times, 2000);
      break;
    }
  }
  OK(gone("a"));
  OK(gone("b"));
  // a pre-opened directory can be replaced and closed like any other
  MUST(open_at(".", 0, DIRECTORY, 0, 0, &dir));
  OK(__wasi_fd_filestat_get(dir, &filestat));
  __wasi_filestat_t moved_stat;
  __wasi_fd_t third = 3;
  if (third != top) {
    OK(__wasi_fd_renumber(dir, third));
    OK(__wasi_fd_filestat_get(third, &moved_stat));
    IS(moved_stat.ino, filestat.ino);
    IS(__wasi_fd_prestat_get(third, &prestat), E(BADF));
    OK(__wasi_fd_close(third));
    IS(__wasi_fd_fdstat_get(third, &stat), E(BADF));
  } else {
    OK(__wasi_fd_close(dir));
  }
}

static void directories(void) {
  static struct entry found[2048];
  __wasi_fd_t fd, inner;
  __wasi_filestat_t stat;
  int more;
  MUST(mkdir_("d"));
  MUST(open_at("d", 0, DIRECTORY, 0, 0, &fd));
  OK(__wasi_fd_filestat_get(fd, &stat));
  MUST(list(fd, 4096, 0, found, 2048, &more) != 2);
  IS(more, 0);
  TRUE(strcmp(found[0].name, ".") == 0 && strcmp(found[1].name, "..") == 0);
  IS(found[0].head.d_ino, stat.ino);
  IS(found[0].head.d_type, __WASI_FILETYPE_DIRECTORY);
  IS(found[1].head.d_type, __WASI_FILETYPE_DIRECTORY);
  // a file, a directory, a link: types and inodes as stat has them
  OK(make("d/file"));
  OK(mkdir_("d/nested"));
  OK(point("file", "d/link"));
  IS(list(fd, 4096, 0, found, 2048, &more), 5);
  for (int at = 2; at < 5; at++) {
    OK(__wasi_path_filestat_get(fd, 0, found[at].name, &stat));
    IS(found[at].head.d_ino, stat.ino);
    IS(found[at].head.d_type, stat.filetype);
  }
  // cookies: each goes on behind its entry, whatever the size of the buffer; the end is the end
  for (int at = 0; at < 5; at++) {
    struct entry rest[8];
    int count = list(fd, 4096, found[at].head.d_next, rest, 8, &more);
    IS(count, 4 - at);
    if (count > 0) TRUE(strcmp(rest[0].name, found[at + 1].name) == 0);
  }
  size_t used;
  OK(__wasi_fd_readdir(fd, listing, 4096, found[4].head.d_next + 1, &used));
  IS(used, 0);
  OK(__wasi_fd_readdir(fd, listing, 4096, ~0ull, &used));
  IS(used, 0);
  // a small buffer is filled to the brim, with what is cut off at its end
  for (size_t len = 0; len < 64; len++) {
    OK(__wasi_fd_readdir(fd, listing, len, 0, &used));
    IS(used, len);
  }
  // the inner one is empty, and its parent's
  MUST(open_at("d/nested", 0, 0, 0, 0, &inner));
  IS(list(inner, 4096, 0, found, 2048, &more), 2);
  OK(__wasi_fd_close(inner));
  IS(__wasi_fd_readdir(0, listing, 4096, 0, &used), E(BADF));
  MUST(open_at("d/file", 0, 0, READ, 0, &inner));
  IS(__wasi_fd_readdir(inner, listing, 4096, 0, &used), E(BADF));
  OK(__wasi_fd_close(inner));
  OK(gone("d/file"));
  OK(gone("d/link"));
  OK(rmdir_("d/nested"));
  // many, in pieces, while others are removed: who stays is met exactly once
  char name[32];
  for (int n = 0; n < 1000; n++) {
    snprintf(name, sizeof name, "d/file.%d", n);
    OK(make(name));
  }
  int total = 0;
  __wasi_dircookie_t cookie = 0;
  do {
    int count = list(fd, 256, cookie, found, 2048, &more);
    if (count <= 0) break;
    total += count;
    cookie = found[count - 1].head.d_next;
  } while (more);
  IS(total, 1002);
  static char seen[1000];
  cookie = 0;
  for (int round = 0;; round++) {
    int count = list(fd, 256, cookie, found, 2048, &more);
    if (count < 0) break;
    for (int at = 0; at < count; at++) {
      int n;
      if (sscanf(found[at].name, "file.%d", &n) == 1 && n >= 0 && n < 1000) seen[n]++;
    }
    if (!more || count == 0) break;
    cookie = found[count - 1].head.d_next;
    if (round < 100) {
      // every second of the last hundred goes while the listing is under way
      snprintf(name, sizeof name, "d/file.%d", 900 + round);
      if (round % 2 == 1) OK(gone(name));
    }
  }
  for (int n = 0; n < 900; n++) {
    if (seen[n] != 1) IS(seen[n], 1);
  }
  for (int n = 0; n < 1000; n++) {
    snprintf(name, sizeof name, "d/file.%d", n);
    int error = gone(name);
    if (error && n < 900) OK(error);
  }
  // a name of many bytes is cut anywhere
  const char *russian = "d/\xd0\x94\xd0\xb5\xd0\xb9\xd1\x81\xd1\x82\xd0\xb2\xd0\xb8\xd0\xb5";
  OK(make(russian));
  int met = 0;
  for (size_t len = 0; len < 256 && !met; len++) {
    int count = list(fd, len, 0, found, 2048, &more);
    for (int at = 0; at < count; at++) met |= strcmp(found[at].name, russian + 2) == 0;
  }
  TRUE(met);
  OK(gone(russian));
  // a directory that is removed while it is open is empty
  OK(rmdir_("d"));
  OK(__wasi_fd_filestat_get(fd, &stat));
  IS(__wasi_path_create_directory(fd, "x"), E(NOENT));
  OK(__wasi_fd_close(fd));
}

static __wasi_subscription_t clock_sub(__wasi_clockid_t id, __wasi_timestamp_t timeout, int flags) {
  __wasi_subscription_t sub;
  memset(&sub, 0, sizeof sub);
  sub.userdata = 0x1234567890;
  sub.u.tag = __WASI_EVENTTYPE_CLOCK;
  sub.u.u.clock.id = id;
  sub.u.u.clock.timeout = timeout;
  sub.u.u.clock.flags = flags;
  return sub;
}

static __wasi_subscription_t fd_sub(int type, __wasi_fd_t fd, __wasi_userdata_t userdata) {
  __wasi_subscription_t sub;
  memset(&sub, 0, sizeof sub);
  sub.userdata = userdata;
  sub.u.tag = type;
  sub.u.u.fd_read.file_descriptor = fd;
  return sub;
}

static void polling(void) {
  __wasi_subscription_t subs[8];
  __wasi_event_t events[8];
  size_t found;
  __wasi_timestamp_t before, after;
  const __wasi_timestamp_t ms = 1000000;
  IS(__wasi_poll_oneoff(subs, events, 0, &found), E(INVAL));
  for (int id = 0; id < 2; id++) {
    subs[0] = clock_sub(id, 5 * ms, 0);
    OK(__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 0, &before));
    OK(__wasi_poll_oneoff(subs, events, 1, &found));
    OK(__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 0, &after));
    IS(found, 1);
    IS(events[0].error, 0);
    IS(events[0].type, __WASI_EVENTTYPE_CLOCK);
    IS(events[0].userdata, 0x1234567890);
    TRUE(after - before >= 5 * ms);
    // a time that is past, absolute
    subs[0] = clock_sub(id, 1, __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME);
    OK(__wasi_poll_oneoff(subs, events, 1, &found));
    IS(found, 1);
    OK(__wasi_clock_time_get(id, 0, &before));
    subs[0] = clock_sub(id, before + 5 * ms, __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME);
    OK(__wasi_poll_oneoff(subs, events, 1, &found));
    OK(__wasi_clock_time_get(id, 0, &after));
    TRUE(after >= before + 5 * ms);
  }
  subs[0] = clock_sub(__WASI_CLOCKID_PROCESS_CPUTIME_ID, ms, 0);
  IS(__wasi_poll_oneoff(subs, events, 1, &found), E(INVAL));
  subs[0] = clock_sub(__WASI_CLOCKID_MONOTONIC, ms, 2);
  IS(__wasi_poll_oneoff(subs, events, 1, &found), E(INVAL));
  subs[0].u.tag = 3;
  IS(__wasi_poll_oneoff(subs, events, 1, &found), E(INVAL));
  // the same subscription twice is two events
  subs[0] = subs[1] = clock_sub(__WASI_CLOCKID_MONOTONIC, 0, 0);
  subs[1].userdata = 2;
  OK(__wasi_poll_oneoff(subs, events, 2, &found));
  IS(found, 2);
  IS(events[1].userdata, 2);
  // files are ready, for both, in the order of the subscriptions; one at its end is hung up
  __wasi_fd_t fd;
  MUST(open_at("f", 0, CREAT | TRUNC, READ | WRITE, 0, &fd));
  IS(put(fd, "x"), 1);
  IS(seek(fd, 0, __WASI_WHENCE_SET), 0);
  subs[0] = fd_sub(__WASI_EVENTTYPE_FD_READ, fd, 1);
  subs[1] = fd_sub(__WASI_EVENTTYPE_FD_WRITE, fd, 2);
  subs[2] = fd_sub(__WASI_EVENTTYPE_FD_READ, fd, 3);
  subs[3] = clock_sub(__WASI_CLOCKID_MONOTONIC, 1000 * 1000 * ms, 0);
  OK(__wasi_poll_oneoff(subs, events, 4, &found));
  IS(found, 3);
  for (int at = 0; at < 3; at++) {
    IS(events[at].userdata, at + 1);
    IS(events[at].error, 0);
    IS(events[at].type, at == 1 ? __WASI_EVENTTYPE_FD_WRITE : __WASI_EVENTTYPE_FD_READ);
    IS(events[at].fd_readwrite.nbytes, 1);
    IS(events[at].fd_readwrite.flags, 0);
  }
  IS(get(fd, 1), 1);
  OK(__wasi_poll_oneoff(subs, events, 1, &found));
  IS(events[0].fd_readwrite.flags, __WASI_EVENTRWFLAGS_FD_READWRITE_HANGUP);
  OK(__wasi_fd_close(fd));
  OK(gone("f"));
  // what is not open fails the whole call
  subs[1] = fd_sub(__WASI_EVENTTYPE_FD_READ, ~0u, 1);
  subs[0] = clock_sub(__WASI_CLOCKID_MONOTONIC, 0, 0);
  IS(__wasi_poll_oneoff(subs, events, 2, &found), E(BADF));
  subs[1] = fd_sub(__WASI_EVENTTYPE_FD_WRITE, ~0u, 1);
  IS(__wasi_poll_oneoff(subs, events, 2, &found), E(BADF));
  // output can be written
  subs[0] = fd_sub(__WASI_EVENTTYPE_FD_WRITE, 1, 1);
  subs[1] = fd_sub(__WASI_EVENTTYPE_FD_WRITE, 2, 2);
  OK(__wasi_poll_oneoff(subs, events, 2, &found));
  IS(found, 2);
}

static void system_(void) {
  __wasi_timestamp_t time, again;
  for (int id = 0; id < 2; id++) {
    OK(__wasi_clock_res_get(id, &time));
    TRUE(time > 0);
    OK(__wasi_clock_time_get(id, 1, &time));
    OK(__wasi_clock_time_get(id, 0, &again));
    TRUE(again >= time);
  }
  for (int id = 2; id < 4; id++) {
    IS(__wasi_clock_res_get(id, &time), E(BADF));
    IS(__wasi_clock_time_get(id, 0, &time), E(BADF));
  }
  IS(__wasi_clock_time_get(4, 0, &time), E(INVAL));
  static uint8_t bytes[1 << 21];
  OK(__wasi_random_get(bytes, 0));
  IS(bytes[0], 0);
  OK(__wasi_random_get(bytes, sizeof bytes));
  int differ = 0;
  for (size_t at = 1; at < sizeof bytes; at++) differ |= bytes[at] != bytes[at - 1];
  TRUE(differ && bytes[sizeof bytes - 1] + bytes[sizeof bytes - 2] + bytes[sizeof bytes - 3] != 0);
  OK(__wasi_sched_yield());
  IS(proc_raise(100), E(INVAL));
}

// Standard streams: no files, no terminals, no sockets.
static void stdio(void) {
  __wasi_fdstat_t stat;
  __wasi_filestat_t filestat;
  __wasi_filesize_t at;
  size_t moved;
  uint8_t byte[1];
  __wasi_iovec_t in = {byte, 1};
  __wasi_ciovec_t out = {byte, 1};
  IS(get(0, 10), 0);
  IS(put(1, ""), 0);
  for (__wasi_fd_t fd = 0; fd < 3; fd++) {
    OK(__wasi_fd_fdstat_get(fd, &stat));
    TRUE(stat.fs_filetype != __WASI_FILETYPE_CHARACTER_DEVICE);
    IS(stat.fs_rights_base & (READ | WRITE), fd == 0 ? READ : WRITE);
    OK(__wasi_fd_filestat_get(fd, &filestat));
    IS(filestat.size, 0);
    IS(seek(fd, 0, __WASI_WHENCE_CUR), -E(SPIPE));
    IS(__wasi_fd_tell(fd, &at), E(SPIPE));
    IS(__wasi_fd_advise(fd, 0, 0, 0), E(BADF));
    IS(__wasi_fd_allocate(fd, 0, 1), E(BADF));
    IS(__wasi_fd_sync(fd), E(BADF));
    IS(__wasi_fd_filestat_set_size(fd, 1), E(BADF));
    IS(__wasi_fd_fdstat_set_rights(fd, 0, 0), E(BADF));
    IS(__wasi_sock_shutdown(fd, __WASI_SDFLAGS_RD), E(NOTSOCK));
    __wasi_fd_t accepted;
    IS(__wasi_sock_accept(fd, 0, &accepted), E(NOTSOCK));
    IS(__wasi_sock_send(fd, &out, 1, 0, &moved), E(NOTSOCK));
    __wasi_roflags_t flags;
    IS(__wasi_sock_recv(fd, &in, 1, 0, &moved, &flags), E(NOTSOCK));
  }
  IS(__wasi_fd_read(1, &in, 1, &moved), E(BADF));
  IS(__wasi_fd_write(0, &out, 1, &moved), E(BADF));
  IS(__wasi_fd_pread(0, &in, 1, 0, &moved), E(SPIPE));
  IS(__wasi_fd_pwrite(1, &out, 1, 0, &moved), E(SPIPE));
  // each can be moved onto a file's number, and is gone from its own
  __wasi_fd_t fd;
  MUST(open_at("f", 0, CREAT, 0, 0, &fd));
  OK(__wasi_fd_renumber(0, fd));
  OK(__wasi_fd_fdstat_get(fd, &stat));
  IS(__wasi_fd_fdstat_get(0, &stat), E(BADF));
  OK(gone("f"));
}

int main(int argc, char **argv) {
  static const struct test cases[] = {
      {"opening", opening},     {"paths", paths},
      {"links", links},         {"renames", renames},
      {"files", files},         {"times", times},
      {"directories", directories}, {"polling", polling},
      {"system", system_},      {"descriptors", descriptors},
      {"stdio", stdio},
  };
  if (argc < 2) {
    printf("wasi_p1 CASE|all [SCRATCH]\n");
    return 2;
  }
  top = preopen(argc > 2 ? argv[2] : ".");
  return run_cases(cases, sizeof cases / sizeof *cases, argv[1]);
}
