/* Lets chosen system calls fail: FAULT="call:part of the path:errno". For LD_PRELOAD; see test_injected.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(const char *call, const char *path) {
  const char *fault = getenv("FAULT");
  char wanted[32], part[128];
  int number;
  if (!fault || !path || sscanf(fault, "%31[^:]:%127[^:]:%d", wanted, part, &number) != 3) return 0;
  if (strcmp(wanted, call) || !strstr(path, part)) return 0;
  errno = number;
  return 1;
}

static int fails_on(const char *call, int descriptor) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return fails(call, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int rename(const char *from, const char *to) {
  return fails("rename", to) ? -1 : REAL(rename)(from, to);
}
int unlink(const char *path) { return fails("unlink", path) ? -1 : REAL(unlink)(path); }
int mkdir(const char *path, mode_t mode);
int mkdir(const char *path, mode_t mode) { return fails("mkdir", path) ? -1 : REAL(mkdir)(path, mode); }
int fsync(int descriptor) { return fails_on("fsync", descriptor) ? -1 : REAL(fsync)(descriptor); }
ssize_t read(int descriptor, void *buffer, size_t size) {
  return fails_on("read", descriptor) ? -1 : REAL(read)(descriptor, buffer, size);
}
ssize_t write(int descriptor, const void *buffer, size_t size) {
  return fails_on("write", descriptor) ? -1 : REAL(write)(descriptor, buffer, size);
}
ssize_t pread(int descriptor, void *buffer, size_t size, off_t offset) {
  return fails_on("read", descriptor) ? -1 : REAL(pread)(descriptor, buffer, size, offset);
}
ssize_t pread64(int descriptor, void *buffer, size_t size, off64_t offset);
ssize_t pread64(int descriptor, void *buffer, size_t size, off64_t offset) {
  return fails_on("read", descriptor) ? -1 : REAL(pread64)(descriptor, buffer, size, offset);
}

#define OPEN(name)                                               \
  int name(const char *path, int flags, ...) {                   \
    va_list rest;                                                \
    va_start(rest, flags);                                       \
    mode_t mode = va_arg(rest, mode_t);                          \
    va_end(rest);                                                \
    if (fails((flags & O_ACCMODE) ? "create" : "open", path)) return -1; \
    return ((int (*)(const char *, int, mode_t))dlsym(RTLD_NEXT, #name))(path, flags, mode); \
  }
OPEN(open)
OPEN(open64)
