/* What sherd tells about itself in files: made by the build out of the tables, so that none can be out of date. */
#pragma once

#include <stdio.h>

/* sherd(1) and sherd.conf(5). */
void manual_print(FILE *out);
void manual_print_config(FILE *out);
/* A configuration file with every option, explained and commented out with its default: "#port 6379". */
void manual_print_sample(FILE *out);
