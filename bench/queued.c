#include "bench/queued.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

void queued_open(struct queued *queued, long pid) {
    *queued = (struct queued){0};
    char folder[64], path[512];
    snprintf(folder, sizeof(folder), "/proc/%ld/task", pid);
    DIR *threads = opendir(folder);
    if (threads == NULL) return;
    for (struct dirent *thread;
         queued->count < QUEUED_THREADS_MAX && (thread = readdir(threads)) != NULL;) {
        if (thread->d_name[0] == '.') continue;
        snprintf(path, sizeof(path), "%s/%s/schedstat", folder, thread->d_name);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file >= 0) queued->files[queued->count++] = file;
    }
    closedir(threads);
}

void queued_close(struct queued *queued) {
    while (queued->count != 0) {
        close(queued->files[--queued->count]);
    }
}

double queued_us(const struct queued *queued) {
    double sum_us = 0;
    uint32_t known = 0;
    for (uint32_t i = 0; i < queued->count; i++) {
        char text[128];
        unsigned long long ran_ns, queued_ns;
        ssize_t size = pread(queued->files[i], text, sizeof(text) - 1, 0);
        if (size <= 0) continue; /* it has ended */
        text[size] = 0;
        if (sscanf(text, "%llu %llu", &ran_ns, &queued_ns) != 2) continue;
        sum_us += (double)queued_ns / 1000;
        known++;
    }
    return known != 0 ? sum_us : NAN;
}
