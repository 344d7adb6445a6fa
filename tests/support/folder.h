/* Folders that tests make for themselves. */
#pragma once

enum { PLACE_ERROR_MAX = 4096 };

/* A fixture of cmocka's: an empty folder, the path of a file that isn't there yet, and room for what went wrong. */
struct place {
    char folder[32], path[64], error[PLACE_ERROR_MAX];
};
int place_set_up(void **state);
int place_tear_down(void **state);

/* Remove a folder and all in it; 0, or -1 as nftw says. Follows no links. */
int folder_remove(const char *path);
/* How many files and folders are in it, itself not counted; fails the running test when it can't be read. */
int folder_count(const char *path);
