// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE /* pipe2 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hints.h"

#define TIMEOUT_MS_MAX 60000

static uint64_t cached_kib(void)
{
	unsigned long long kib = 0;
	char line[128];
	FILE *file = fopen("/proc/meminfo", "r");

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "Cached: %llu", &kib) == 1)
			break;
	fclose(file);
	return kib;
}

/* The kernel can't be stopped once it drops: a process of its own does it, and holds a pipe open meanwhile. */
static int start_dropping(void)
{
	int ends[2], file;
	pid_t child, grandchild;

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	child = fork();
	if (child == 0) {
		/* Nobody's child: it may outlast the request. */
		grandchild = fork();
		if (grandchild == 0) {
			file = open("/proc/sys/vm/drop_caches", O_WRONLY);
			_exit(file >= 0 && write(file, "1", 1) == 1 && write(ends[1], "1", 1) == 1 ? 0 : 1);
		}
		_exit(grandchild < 0);
	}
	close(ends[1]);
	if (child > 0)
		waitpid(child, NULL, 0);
	return ends[0];
}

enum error drop_cache(const struct drop_cache_request *request, struct drop_cache_answer *answer)
{
	struct pollfd finished = { .events = POLLIN };
	uint64_t since = now_ns();
	char byte;
	int ready;

	if (request->timeout_ms > TIMEOUT_MS_MAX) {
		errno = EINVAL;
		return MALFORMED;
	}
	*answer = (struct drop_cache_answer){ .before_kib = cached_kib() };
	finished.fd = start_dropping();
	if (finished.fd < 0)
		return FAILED;
	ready = poll(&finished, 1, request->timeout_ms);
	answer->finished = ready > 0 && read(finished.fd, &byte, 1) == 1;
	close(finished.fd);
	answer->after_kib = cached_kib();
	answer->took_ns = now_ns() - since;
	return 0;
}
