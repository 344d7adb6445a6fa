/* What the build makes of main.c's table: sherd-bench(1), and completion for bash. */
#pragma once

#include <stddef.h>
#include <stdio.h>

#include "bench/bench.h"

void bench_manual_print(FILE *out, const struct bench *benches, size_t count);
void bench_completion_print(FILE *out, const struct bench *benches, size_t count);
