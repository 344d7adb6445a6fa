/* LCS: the longest common subsequence of two strings; the one string command with an algorithm of its own. */
#pragma once

struct call;
void strings_lcs(struct call *call);
