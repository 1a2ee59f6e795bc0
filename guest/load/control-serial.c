// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control.h"
#include "network.h"

/* While no host program is connected the port can neither be read nor waited for. */
#define RETRY_US 10000

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

/* Gives up when the host's end is closed: nobody waits for this answer any more. */
static void write_answer(int file, const struct answer *answer)
{
	size_t written = 0;

	while (written < answer->length) {
		struct pollfd poll_file = { .fd = file, .events = POLLOUT };
		ssize_t result = write(file, answer->text + written, answer->length - written);

		if (result > 0)
			written += result;
		else if (poll(&poll_file, 1, -1) < 0 || (poll_file.revents & (POLLHUP | POLLERR)))
			return;
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
	if (!(poll_file.revents & POLLIN))
		usleep(RETRY_US);
	return poll_file.revents & POLLHUP ? 0 : -1;
}

static void *answer_lines(void *argument)
{
	struct serial *serial = argument;
	int file = open(serial->device, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	char line[COMMAND_BYTES];
	size_t filled = 0;

	while (file >= 0) {
		ssize_t length = read_some(file, line + filled, sizeof(line) - 1 - filled);
		struct answer answer;
		char *end;

		/* A half line of a host program that went away must not become the next one's beginning. */
		if (length == 0)
			filled = 0;
		if (length <= 0)
			continue;
		filled += length;
		line[filled] = '\0';
		while ((end = strchr(line, '\n'))) {
			*end = '\0';
			load_execute(serial->load, line, &answer);
			write_answer(file, &answer);
			filled -= end + 1 - line;
			memmove(line, end + 1, filled + 1);
		}
		if (filled == sizeof(line) - 1)
			filled = 0;
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
