/* A disk that is full, for files that this process writes: by its limit on their size. Main thread. */
#pragma once

#include <stdint.h>

/* No file may grow beyond so many bytes: writing fails with EFBIG. Fails the running test. */
void disk_room_limit(uint64_t bytes);
void disk_room_unlimit(void);
