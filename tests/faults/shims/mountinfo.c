/* Replaces the list of mounts: a process that opens /proc/self/mountinfo gets the file that MOUNTINFO names. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int open64(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
    const char *other = getenv("MOUNTINFO");
    return real(other && !strcmp(path, "/proc/self/mountinfo") ? other : path, flags, mode);
}
