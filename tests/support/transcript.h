/* A conversation with a server, written down in a text file, held against a running server.
 *
 * The language is described in tests/transcripts/README.md. */
#pragma once

/* Start a server as the file asks for, hold the conversation, and stop the server. Every reply that differs is printed
 * with the file's name, the line, what was sent, what was expected and what came; then the running test fails. Main
 * thread only. */
void transcript_run(const char *path);
