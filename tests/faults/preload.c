/* Faults between a program and the C library, loaded with LD_PRELOAD.

     FAULT_READ=TEXT   reads of files whose path holds TEXT give EIO
     FAULT_CLOCK=N     the wall clock is N seconds behind (steady clocks are not)
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int fails(int fd) {
  const char *text = getenv("FAULT_READ");
  char link[64], path[4096];
  if (!text || !*text) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return strstr(path, text) != NULL;
}

ssize_t read(int fd, void *buffer, size_t count) {
  static ssize_t (*real)(int, void *, size_t);
  if (!real) real = dlsym(RTLD_NEXT, "read");
  if (fails(fd)) { errno = EIO; return -1; }
  return real(fd, buffer, count);
}

ssize_t pread64(int fd, void *buffer, size_t count, off64_t offset) {
  static ssize_t (*real)(int, void *, size_t, off64_t);
  if (!real) real = dlsym(RTLD_NEXT, "pread64");
  if (fails(fd)) { errno = EIO; return -1; }
  return real(fd, buffer, count, offset);
}

ssize_t pread(int fd, void *buffer, size_t count, off_t offset) {
  return pread64(fd, buffer, count, offset);
}

static time_t behind(void) {
  const char *text = getenv("FAULT_CLOCK");
  return text ? atol(text) : 0;
}

int clock_gettime(clockid_t which, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int code = real(which, now);
  if (!code && which == CLOCK_REALTIME) now->tv_sec -= behind();
  return code;
}

int gettimeofday(struct timeval *now, void *zone) {
  static int (*real)(struct timeval *, void *);
  if (!real) real = dlsym(RTLD_NEXT, "gettimeofday");
  int code = real(now, zone);
  if (!code) now->tv_sec -= behind();
  return code;
}

time_t time(time_t *now) {
  struct timespec found;
  clock_gettime(CLOCK_REALTIME, &found);
  if (now) *now = found.tv_sec;
  return found.tv_sec;
}
