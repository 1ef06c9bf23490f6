/* A preloaded library that wraps calls of the C library. It records every call that changes a file below
 * a folder, and every line on standard output, in one order over all processes. Or it makes calls fail.
 * Environment variables control it:
 *
 *   CALLS_FOLDER  only files below this folder are recorded or fail
 *   CALLS_LOG     the file for the record. Syncs then return at once without a sync: the reader of the
 *                 record decides what the disk contains after a power cut
 *   CALLS_FAULTS  a file of 64-bit words, shared by all processes, that select the calls to fail
 *                 (see `word`)
 *
 * A failed sync behaves as in Linux: the dirty pages are lost but count as clean, the next sync of each
 * process that has the file open returns the error once, and a process that opens it later gets none. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* The words of CALLS_FAULTS. */
enum word {
    KIND,     /* a set of `kind`; 0: no call fails or is counted */
    FIRST,    /* the first matching call that fails, from 1 */
    COUNT,    /* how many matching calls fail from there on */
    ERRNO,    /* the error; 0: the process is killed in the sync, so that it gets no error */
    SHORT,    /* if not 0: the first failing call, a write, writes half of its data instead */
    FILES,    /* a set of `1 << file` */
    MATCHED,  /* how many calls matched */
    INJECTED, /* how many of them failed */
    LOST,     /* the first of 8 words: for each `file` the number of failed syncs */
    WORDS = LOST + 8
};
enum kind { WRITE = 1, SYNC = 2, TRUNCATE = 4, OPEN = 8, MAP = 16, NAME = 32 };
enum file { STORE, WAL, SHM, WRITE_LOCK, JOURNAL, FOLDER, OTHER };

enum record { WROTE = 1, CUT, SYNCING, SYNCED, MADE, UNLINKED, ANSWERED };
/* How a sync ended. */
enum end { ON_DISK, DROPPED, REPORTED };

struct head {
    uint32_t record, pid, tid, result;
    uint64_t inode, offset;
    uint32_t path, data;
};

static char folder[PATH_MAX];
static size_t folder_length;
static int record_fd = -1;
static volatile uint64_t *faults;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The open files below the folder, by descriptor. */
static struct known {
    int used, file;
    uint64_t inode, reported; /* the number of failed syncs that this process knows of */
} known[4096];

#define REAL(name) static __typeof__(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("CALLS_FOLDER");
    if (!text) return;
    snprintf(folder, sizeof folder, "%s", text);
    folder_length = strlen(folder);
    /* Direct system calls: the wrappers below would record them. */
    if ((text = getenv("CALLS_LOG"))) {
        int fd = syscall(SYS_openat, AT_FDCWD, text, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        record_fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 900);
        if (fd >= 0) syscall(SYS_close, fd);
        if (record_fd < 0) abort();
    }
    if ((text = getenv("CALLS_FAULTS"))) {
        int fd = syscall(SYS_openat, AT_FDCWD, text, O_RDWR | O_CLOEXEC);
        void *map = (void *)syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0L);
        if (fd < 0 || map == MAP_FAILED) abort();
        syscall(SYS_close, fd);
        faults = map;
    }
}

static int ends(const char *path, const char *ending) {
    size_t all = strlen(path), end = strlen(ending);
    return all >= end && !strcmp(path + all - end, ending);
}

static int beneath(const char *path) {
    return folder_length && !strncmp(path, folder, folder_length);
}

static enum file file_of(const char *path) {
    struct stat at;
    if (ends(path, "-wal")) return WAL;
    if (ends(path, "-shm")) return SHM;
    if (ends(path, "-lock")) return WRITE_LOCK;
    if (ends(path, "-journal")) return JOURNAL;
    if (ends(path, ".db")) return STORE;
    return !stat(path, &at) && S_ISDIR(at.st_mode) ? FOLDER : OTHER;
}

static struct known *of(int fd) {
    return fd >= 0 && fd < 4096 && known[fd].used ? &known[fd] : NULL;
}

/* The record's lock: threads by the mutex, processes by the file. */
static void hold(void) {
    pthread_mutex_lock(&lock);
    if (record_fd >= 0) while (flock(record_fd, LOCK_EX) && errno == EINTR) {}
}

static void release(void) {
    int kept = errno;
    if (record_fd >= 0) flock(record_fd, LOCK_UN);
    pthread_mutex_unlock(&lock);
    errno = kept;
}

static void note(enum record record, uint32_t result, uint64_t inode, uint64_t offset, const char *path,
                 const void *data, size_t length) {
    if (record_fd < 0) return;
    int kept = errno;
    struct head head = {record, getpid(), syscall(SYS_gettid), result, inode, offset,
                        path ? strlen(path) : 0, length};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)path, head.path}, {(void *)data, length}};
    if (syscall(SYS_writev, record_fd, parts, 3) != (long)(sizeof head + head.path + length)) abort();
    errno = kept;
}

/* Whether this call fails. Sets `first` if it is the first one that does. */
static int fails(enum kind kind, enum file file, int *first) {
    if (!faults || !(faults[KIND] & kind) || !(faults[FILES] & (1u << file))) return 0;
    uint64_t number = __sync_add_and_fetch(&faults[MATCHED], 1), start = faults[FIRST];
    if (number < start || number - start >= faults[COUNT]) return 0;
    __sync_add_and_fetch(&faults[INJECTED], 1);
    if (first) *first = number == start;
    errno = faults[ERRNO];
    return 1;
}

static int opened(int (*open)(const char *, int, ...), const char *path, int flags, mode_t mode) {
    if (!beneath(path)) return open(path, flags, mode);
    enum file file = file_of(path);
    struct stat status;
    hold();
    int fd = -1, made = (flags & O_CREAT) && stat(path, &status) && errno == ENOENT;
    if (!fails(OPEN, file, NULL)) {
        fd = open(path, flags, mode);
        if (fd >= 0 && fd < 4096 && !fstat(fd, &status)) {
            known[fd] = (struct known){1, file, status.st_ino, faults ? faults[LOST + file] : 0};
            if (made) note(MADE, 0, status.st_ino, 0, path, NULL, 0);
            else if (flags & O_TRUNC) note(CUT, 0, status.st_ino, 0, path, NULL, 0);
        }
    }
    release();
    return fd;
}

#define OPENS(name)                                             \
    int name(const char *path, int flags, ...) {                \
        REAL(name);                                             \
        mode_t mode = 0;                                        \
        if (flags & (O_CREAT | __O_TMPFILE)) {                  \
            va_list rest;                                       \
            va_start(rest, flags);                              \
            mode = va_arg(rest, mode_t);                        \
            va_end(rest);                                       \
        }                                                       \
        return opened(real, path, flags, mode);       \
    }
OPENS(open)
OPENS(open64)

int close(int fd) {
    REAL(close);
    if (of(fd)) known[fd].used = 0;
    return real(fd);
}

/* What a write comes to: all of it, half of it, or nothing. */
static ssize_t written(int fd, const void *data, size_t length, off_t offset, int placed) {
    struct known *file = of(fd);
    hold();
    int first = 0;
    ssize_t done = -1;
    if (!fails(WRITE, file->file, &first) || (first && faults[SHORT] && length > 1)) {
        size_t wanted = first && faults[SHORT] ? length / 2 : length;
        off_t from = placed ? offset : lseek(fd, 0, SEEK_CUR);
        done = placed ? syscall(SYS_pwrite64, fd, data, wanted, offset) : syscall(SYS_write, fd, data, wanted);
        if (done > 0 && file->file != SHM) note(WROTE, 0, file->inode, from, NULL, data, done);
    }
    release();
    return done;
}

ssize_t write(int fd, const void *data, size_t length) {
    if (of(fd)) return written(fd, data, length, 0, 0);
    /* A server's stdout may have another number. */
    if (record_fd >= 0 && (fd == 1 || (length > 10 && !memcmp(data, "{\"jsonrpc\"", 10)))) {
        hold();
        note(ANSWERED, 0, 0, 0, NULL, data, length);
        release();
    }
    return syscall(SYS_write, fd, data, length);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    if (of(fd)) return written(fd, data, length, offset, 1);
    return syscall(SYS_pwrite64, fd, data, length, offset);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    return pwrite64(fd, data, length, offset);
}

int ftruncate64(int fd, off64_t length) {
    struct known *file = of(fd);
    if (!file) return syscall(SYS_ftruncate, fd, length);
    hold();
    int done = -1;
    if (!fails(TRUNCATE, file->file, NULL)) {
        done = syscall(SYS_ftruncate, fd, length);
        if (!done && file->file != SHM) note(CUT, 0, file->inode, length, NULL, NULL, 0);
    }
    release();
    return done;
}

int ftruncate(int fd, off_t length) {
    return ftruncate64(fd, length);
}

static int synced(int fd, long number) {
    struct known *file = of(fd);
    if (!file) return syscall(number, fd);
    hold();
    int failed = fails(SYNC, file->file, NULL), reported = 0;
    if (failed) file->reported = ++faults[LOST + file->file];
    else if (faults && file->reported != faults[LOST + file->file]) {
        file->reported = faults[LOST + file->file];
        reported = 1;
    }
    note(SYNCING, 0, file->inode, 0, NULL, NULL, 0);
    release();
    int done = 0;
    if (record_fd >= 0) sched_yield();
    else if (!failed) done = syscall(number, fd);
    hold();
    note(SYNCED, failed ? DROPPED : reported ? REPORTED : ON_DISK, file->inode, 0, NULL, NULL, 0);
    release();
    if (failed && !faults[ERRNO]) kill(getpid(), SIGKILL);
    if (failed || reported) {
        errno = failed ? (int)faults[ERRNO] : EIO;
        return -1;
    }
    return done;
}

int fsync(int fd) {
    return synced(fd, SYS_fsync);
}

int fdatasync(int fd) {
    return synced(fd, SYS_fdatasync);
}

void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset) {
    struct known *file = of(fd);
    if (file && fails(MAP, file->file, NULL)) return MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, length, protection, flags, fd, offset);
}

void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
    return mmap64(at, length, protection, flags, fd, offset);
}

int mkdir(const char *path, mode_t mode) {
    if (!beneath(path)) return syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    struct stat status;
    hold();
    int done = -1;
    if (!fails(NAME, FOLDER, NULL)) {
        done = syscall(SYS_mkdirat, AT_FDCWD, path, mode);
        if (!done && !stat(path, &status)) note(MADE, 1, status.st_ino, 0, path, NULL, 0);
    }
    release();
    return done;
}

int unlink(const char *path) {
    if (!beneath(path)) return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    hold();
    int done = -1;
    if (!fails(NAME, file_of(path), NULL)) {
        done = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
        if (!done) note(UNLINKED, 0, 0, 0, path, NULL, 0);
    }
    release();
    return done;
}
