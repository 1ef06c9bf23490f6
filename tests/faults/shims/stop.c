/* Stops the process with SIGSTOP right before the call number TASKTALLY_STOP_AT that writes or syncs a file. If
   TASKTALLY_STOP_BY is set, the process is killed with SIGKILL instead. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/types.h>

static long at = -1;
static long seen;
static int by = SIGSTOP;

__attribute__((constructor)) static void read_environment(void) {
    const char *text = getenv("TASKTALLY_STOP_AT");
    at = text ? atol(text) : -1;
    by = getenv("TASKTALLY_STOP_BY") ? SIGKILL : SIGSTOP;
    /* Child processes are not stopped. */
    unsetenv("LD_PRELOAD");
}

static void count(void) {
    if (__atomic_add_fetch(&seen, 1, __ATOMIC_SEQ_CST) == at)
        raise(by);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwrite(int file, const void *bytes, size_t count_, off_t from) {
    count();
    return REAL(pwrite)(file, bytes, count_, from);
}

ssize_t pwrite64(int file, const void *bytes, size_t count_, off64_t from) {
    count();
    return REAL(pwrite64)(file, bytes, count_, from);
}

int fdatasync(int file) {
    count();
    return REAL(fdatasync)(file);
}

int fsync(int file) {
    count();
    return REAL(fsync)(file);
}
