// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control.h"
#include "lines.h"
#include "network.h"

/* While no host program is connected the port can neither be read nor waited for. */
#define RETRY_US 10000
/* Two seconds of retries, more than any guest was seen to need. */
#define HANGUP_RETRIES 200

struct serial {
	struct load *load;
	char device[300];
};

/* Finds /dev/vportNpM by the name that the port has on QEMU's command line. */
static bool find_device(struct serial *serial)
{
	DIR *ports = opendir("/sys/class/virtio-ports");
	const struct dirent *entry;
	bool found = false;

	while (ports && !found && (entry = readdir(ports))) {
		char path[300], name[64] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fgets(name, sizeof(name), file)) {
			name[strcspn(name, "\n")] = '\0';
			found = !strcmp(name, CONTROL_PORT_NAME);
		}
		fclose(file);
		snprintf(serial->device, sizeof(serial->device), "/dev/%s", entry->d_name);
	}
	if (ports)
		closedir(ports);
	return found;
}

/*
 * Gives up when the host's end is closed: nobody waits for this answer any more. A command may be read before the kernel
 * has heard that its host program is connected, though: word of that comes on another queue, late where the guest is
 * busy, and until then nothing can be written.
 */
static void write_answer(int file, const struct answer *answer)
{
	size_t written = 0;
	int retries = 0;

	while (written < answer->length) {
		struct pollfd poll_file = { .fd = file, .events = POLLOUT };
		ssize_t result = write(file, answer->text + written, answer->length - written);

		if (result > 0) {
			written += result;
			continue;
		}
		if (poll(&poll_file, 1, -1) < 0 || (poll_file.revents & POLLERR))
			return;
		if (poll_file.revents & POLLHUP) {
			if (retries++ == HANGUP_RETRIES)
				return;
			usleep(RETRY_US);
		}
	}
}

/* Waits for bytes. 0: the host's end is or was closed. */
static ssize_t read_some(int file, char *bytes, size_t room)
{
	struct pollfd poll_file = { .fd = file, .events = POLLIN };
	ssize_t length = read(file, bytes, room);

	if (length > 0)
		return length;
	poll(&poll_file, 1, -1);
	/* While no host program is connected, Linux reports POLLIN and POLLHUP at once, again and again. */
	if (!(poll_file.revents & POLLIN) || (poll_file.revents & POLLHUP))
		usleep(RETRY_US);
	return poll_file.revents & POLLHUP ? 0 : -1;
}

static void *answer_lines(void *argument)
{
	struct serial *serial = argument;
	int file = open(serial->device, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	struct lines lines = { .filled = 0 };

	while (file >= 0) {
		size_t room;
		char *into = lines_room(&lines, &room), *line;
		ssize_t length = read_some(file, into, room);

		/* A half line of a host program that went away must not become the next one's beginning. */
		if (length == 0)
			memset(&lines, 0, sizeof(lines));
		if (length > 0)
			lines_filled(&lines, length);
		while ((line = lines_next(&lines))) {
			struct answer answer;

			load_execute(serial->load, line, &answer);
			write_answer(file, &answer);
		}
	}
	return NULL;
}

void control_start_serial(struct load *load)
{
	static struct serial serial;

	serial.load = load;
	if (find_device(&serial))
		network_thread(answer_lines, &serial);
}
