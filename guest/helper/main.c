// SPDX-License-Identifier: Apache-2.0
#define _DEFAULT_SOURCE /* usleep */
/* Tells the host over a virtio-serial port what only the guest knows of its memory: README.md. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hints.h"

/* The kernel signals when a host program connects; this is for the moment between looking and waiting. */
#define RETRY_S 1

#define WRITE_RETRY_US 5000
#define WRITE_RETRIES 200

/* The kernel makes ports by and by after the driver was loaded; a guest without this one has no use for us. */
#define PORT_RETRY_US 100000
#define PORT_RETRIES 100

static struct run runs[RUNS_MAX];

/* Finds /dev/vportNpM by the name that the port has on QEMU's command line. */
static int open_port(void)
{
	DIR *ports = opendir("/sys/class/virtio-ports");
	const struct dirent *entry;
	int file = -1;

	while (ports && file < 0 && (entry = readdir(ports))) {
		char path[300], name[64] = "";
		FILE *names;

		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
		names = fopen(path, "r");
		if (!names)
			continue;
		if (fgets(name, sizeof(name), names)) {
			name[strcspn(name, "\n")] = '\0';
			snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
			if (!strcmp(name, PORT_NAME))
				file = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		}
		fclose(names);
	}
	if (ports)
		closedir(ports);
	return file;
}

/* Until the kernel says that something changed about the port. */
static void wait_for_host(void)
{
	const struct timespec retry = { .tv_sec = RETRY_S };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigtimedwait(&set, NULL, &retry);
}

/* False: the host's end is or was closed, and what it had begun to say is over. */
static bool read_whole(int port, void *into, size_t length)
{
	size_t filled = 0;

	while (filled < length) {
		struct pollfd waiting = { .fd = port, .events = POLLIN };
		ssize_t result = read(port, (char *)into + filled, length - filled);

		if (result > 0) {
			filled += result;
			continue;
		}
		/* 0, where no host program is connected. */
		if (result == 0 || (errno != EAGAIN && errno != EINTR))
			return false;
		poll(&waiting, 1, -1);
		if (waiting.revents & POLLHUP && !(waiting.revents & POLLIN))
			return false;
	}
	return true;
}

/*
 * A request may be read before the kernel has heard that its host program is connected: word of that comes on another
 * queue. Until then nothing can be written.
 */
static bool write_whole(int port, const void *from, size_t length)
{
	size_t written = 0;
	int retries = 0;

	while (written < length) {
		struct pollfd waiting = { .fd = port, .events = POLLOUT };
		ssize_t result = write(port, (const char *)from + written, length - written);

		if (result > 0) {
			written += result;
			continue;
		}
		if (poll(&waiting, 1, -1) < 0 || (waiting.revents & POLLERR))
			return false;
		if (waiting.revents & POLLHUP) {
			if (retries++ == WRITE_RETRIES)
				return false;
			usleep(WRITE_RETRY_US);
		}
	}
	return true;
}

static bool answer(int port, const struct frame *request, uint16_t type, const void *head, size_t head_length,
		   uint32_t run_count)
{
	struct frame frame = *request;

	frame.type = type;
	frame.version = PROTOCOL_VERSION;
	frame.length = head_length + run_count * sizeof(runs[0]);
	return write_whole(port, &frame, sizeof(frame)) && write_whole(port, head, head_length) &&
	       write_whole(port, runs, run_count * sizeof(runs[0]));
}

static bool answer_error(int port, const struct frame *request, enum error error, int reason)
{
	struct error_answer head = { .error = error, .errno_value = reason };

	return answer(port, request, ERROR, &head, sizeof(head), 0);
}

static bool say_hello(int port, const struct frame *request)
{
	struct hello_answer head = {
		.lowest_version = PROTOCOL_VERSION,
		.highest_version = PROTOCOL_VERSION,
		.capabilities = capabilities(),
		.runs_max = RUNS_MAX,
		.page_bytes = 4096,
	};

	return answer(port, request, HELLO | ANSWER, &head, sizeof(head), 0);
}

static bool execute(int port, const struct frame *frame, const void *payload)
{
	union {
		struct free_pages_answer free_pages;
		struct working_set_answer working_set;
		struct drop_cache_answer drop_cache;
		struct kernel_pages_answer kernel_pages;
	} head;
	enum error error = UNKNOWN_TYPE;
	uint32_t run_count = 0;
	size_t length = 0;

	errno = 0;
	if (frame->type == HELLO)
		return say_hello(port, frame);
	if (frame->version != PROTOCOL_VERSION) {
		error = BAD_VERSION;
	} else if (frame->type == FREE_PAGES) {
		error = frame->length != sizeof(struct free_pages_request) ? MALFORMED :
			free_pages(payload, &head.free_pages, runs);
		run_count = head.free_pages.runs;
		length = sizeof(head.free_pages);
	} else if (frame->type == WORKING_SET) {
		error = frame->length != sizeof(struct working_set_request) ? MALFORMED :
			working_set(payload, &head.working_set, runs);
		run_count = head.working_set.runs;
		length = sizeof(head.working_set);
	} else if (frame->type == DROP_CACHE) {
		error = frame->length != sizeof(struct drop_cache_request) ? MALFORMED :
			drop_cache(payload, &head.drop_cache);
		length = sizeof(head.drop_cache);
	} else if (frame->type == KERNEL_PAGES) {
		error = frame->length != sizeof(struct kernel_pages_request) ? MALFORMED :
			kernel_pages(payload, &head.kernel_pages, runs);
		run_count = head.kernel_pages.runs;
		length = sizeof(head.kernel_pages);
	}
	if (error)
		return answer_error(port, frame, error, errno);
	return answer(port, frame, frame->type | ANSWER, &head, length, run_count);
}

/* Answers requests until the host's end is closed, or until what comes makes no sense. */
static void serve(int port)
{
	uint64_t payload[REQUEST_BYTES_MAX / sizeof(uint64_t)];
	struct frame frame;

	while (read_whole(port, &frame, sizeof(frame))) {
		/* A program that went away amid a request left its beginning behind: on to what looks like one. */
		while (frame.magic != FRAME_MAGIC || frame.length > REQUEST_BYTES_MAX) {
			memmove(&frame, (char *)&frame + 1, sizeof(frame) - 1);
			if (!read_whole(port, (char *)&frame + sizeof(frame) - 1, 1))
				return;
		}
		if (!read_whole(port, payload, frame.length) || !execute(port, &frame, payload))
			return;
	}
}

int main(void)
{
	int port = open_port();
	sigset_t set;

	for (int retries = 0; port < 0 && retries < PORT_RETRIES; retries++) {
		usleep(PORT_RETRY_US);
		port = open_port();
	}
	if (port < 0) {
		fprintf(stderr, "helper: there is no virtio-serial port %s\n", PORT_NAME);
		return 1;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fcntl(port, F_SETOWN, getpid());
	fcntl(port, F_SETFL, O_NONBLOCK | O_ASYNC);
	for (;;) {
		serve(port);
		wait_for_host();
	}
}
