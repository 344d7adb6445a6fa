/* The subcommands of sherd-bench: one row each in main.c, one file each. */
#pragma once

struct bench {
    const char *name;
    const char *summary;
    const char *options; /* a line each, for --help */
    int (*run)(int argc,
               char **argv); /* arguments after the subcommand's name; returns the exit status */
};

int load_run(int argc, char **argv);
int floor_run(int argc, char **argv);
int store_run(int argc, char **argv);
int locks_run(int argc, char **argv);
int queues_run(int argc, char **argv);
int pool_run(int argc, char **argv);
int trace_run(int argc, char **argv);
int shift_run(int argc, char **argv);
int hits_run(int argc, char **argv);
int expire_run(int argc, char **argv);
int curve_run(int argc, char **argv);
int lease_run(int argc, char **argv);
int steady_run(int argc, char **argv);
int warm_run(int argc, char **argv);
