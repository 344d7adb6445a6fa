/* Folders that tests make for themselves. */
#pragma once

/* Remove a folder and all in it; 0, or -1 as nftw says. Follows no links. */
int folder_remove(const char *path);
/* How many files and folders are in it, itself not counted; fails the running test when it can't be read. */
int folder_count(const char *path);
