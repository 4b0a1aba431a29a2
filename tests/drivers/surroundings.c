/* Surroundings of a process that fail while it runs: loaded before libc (LD_PRELOAD), this lies about the
 * time and the room on the disk, as two numbers say in the file that SURROUNDINGS_OF_TEST names:
 * seconds that the clock is ahead (negative: behind), and whether the disk is full. The disk is that of
 * regular files; sockets and pipes go on. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct told {
    int64_t seconds_ahead;
    int64_t disk_full;
};

static volatile struct told *told;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("SURROUNDINGS_OF_TEST");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        return;
    }
    void *mapped = mmap(NULL, sizeof(struct told), PROT_READ, MAP_SHARED, fd, 0);
    told = mapped == MAP_FAILED ? NULL : mapped;
    close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    int result = (int)syscall(SYS_clock_gettime, clock, at);
    if (result == 0 && clock == CLOCK_REALTIME && told) {
        at->tv_sec += told->seconds_ahead;
    }
    return result;
}

static int no_room(int fd) {
    struct stat what;
    if (!told || !told->disk_full || fstat(fd, &what) != 0 || !S_ISREG(what.st_mode)) {
        return 0;
    }
    errno = ENOSPC;
    return 1;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    return no_room(fd) ? -1 : syscall(SYS_write, fd, bytes, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t at) {
    return no_room(fd) ? -1 : syscall(SYS_pwrite64, fd, bytes, count, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    return pwrite64(fd, bytes, count, at);
}
