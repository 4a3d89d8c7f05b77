/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

#define NAME_PREFIX   "holdfast-"
#define NAME_TEMPLATE NAME_PREFIX "XXXXXX"
#define LOCK_NAME     "lock"
#define LOCK_NEW_NAME "lock.new" /* never found unlocked under its final name */

static bool refuse(char problem[SCRATCH_PROBLEM_SIZE], const char *what, const char *path)
{
    snprintf(problem, SCRATCH_PROBLEM_SIZE, "cannot %s in %s: %s", what, path, strerror(errno));
    return false;
}

/* Opens the directory `name` in `parent_fd` if it is one of ours; -1 otherwise. */
static int open_own(int parent_fd, const char *name)
{
    if (strlen(name) != strlen(NAME_TEMPLATE) ||
        strncmp(name, NAME_PREFIX, strlen(NAME_PREFIX)) != 0) {
        return -1;
    }
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    if (fd >= 0 && (fstat(fd, &status) != 0 || status.st_uid != geteuid())) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Removes the files in the directory, which is flat. Takes over `fd`. */
static void remove_files(int fd)
{
    DIR *files = fdopendir(fd);
    if (files == NULL) {
        close(fd);
        return;
    }
    for (struct dirent *file = readdir(files); file != NULL; file = readdir(files)) {
        (void)unlinkat(fd, file->d_name, 0); /* "." and ".." are refused */
    }
    closedir(files);
}

/* Whoever can lock the file is its owner, or its owner is dead. */
static void remove_if_stale(int parent_fd, const char *name)
{
    int fd = open_own(parent_fd, name);
    if (fd < 0) {
        return;
    }
    int lock_fd = openat(fd, LOCK_NAME, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (lock_fd < 0 || flock(lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (lock_fd >= 0) {
            close(lock_fd);
        }
        close(fd);
        return;
    }
    remove_files(fd);
    (void)unlinkat(parent_fd, name, AT_REMOVEDIR);
    close(lock_fd);
}

static void sweep(const char *parent)
{
    DIR *names = opendir(parent);
    if (names == NULL) {
        return;
    }
    for (struct dirent *name = readdir(names); name != NULL; name = readdir(names)) {
        remove_if_stale(dirfd(names), name->d_name);
    }
    closedir(names);
}

static int make_lock(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    int lock_fd = openat(fd, LOCK_NEW_NAME, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (lock_fd >= 0 && (flock(lock_fd, LOCK_EX | LOCK_NB) != 0 ||
                         renameat(fd, LOCK_NEW_NAME, fd, LOCK_NAME) != 0)) {
        close(lock_fd);
        lock_fd = -1;
    }
    close(fd);
    return lock_fd;
}

bool scratch_init(struct scratch *scratch, const char *parent, char problem[SCRATCH_PROBLEM_SIZE])
{
    sweep(parent);
    size_t size = strlen(parent) + sizeof("/" NAME_TEMPLATE);
    scratch->path = memory_alloc(size);
    scratch->lock_fd = -1;
    snprintf(scratch->path, size, "%s/" NAME_TEMPLATE, parent);
    if (mkdtemp(scratch->path) == NULL) {
        memory_free(scratch->path);
        return refuse(problem, "make a temporary directory", parent);
    }
    scratch->lock_fd = make_lock(scratch->path);
    if (scratch->lock_fd < 0) {
        refuse(problem, "make a lock file", scratch->path);
        scratch_release(scratch);
        return false;
    }
    return true;
}

void scratch_release(struct scratch *scratch)
{
    int fd = open(scratch->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        remove_files(fd);
    }
    (void)rmdir(scratch->path);
    if (scratch->lock_fd >= 0) {
        close(scratch->lock_fd);
    }
    memory_free(scratch->path);
}
