// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest can tell of its memory that nobody outside can know: which pages are free, and which it works with.
 * Two files in /proc/godwit: a request is written, then its answer is read, through one open file; and a device by
 * which the host asks for free pages itself. README.md.
 */
#include <linux/ctype.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "answer.h"

#define REQUEST_BYTES_MAX 256

/* 8 MiB of answer: the worst case of 8 GiB, every second page free. */
#define ENTRIES_MAX (1U << 20)
#define ENTRIES_DEFAULT (1U << 17)
#define ORDER_MAX 10
/* A request may take so long at most: its caller waits for it. */
#define SCANS_MAX 64
#define INTERVAL_MS_MAX 10000

typedef int (*answer_function)(const struct request *request, struct answer *answer);

static DEFINE_MUTEX(one_at_a_time);

static bool take_number(const char *word, const char *key, u32 most, u32 *value)
{
	size_t length = strlen(key);

	return !strncmp(word, key, length) && word[length] == '=' && !kstrtou32(word + length + 1, 10, value) &&
	       *value <= most;
}

static bool take_flag(const char *word, const char *key, bool *value)
{
	u32 number;

	if (!take_number(word, key, 1, &number))
		return false;
	*value = number;
	return true;
}

/* Words KEY=NUMBER, apart by white space. */
static int parse(char *text, answer_function answers, struct request *request)
{
	char *word;

	*request = (struct request){ .maximum = ENTRIES_DEFAULT };
	while ((word = strsep(&text, " \t\n")) != NULL) {
		if (!*word || take_number(word, "maximum", ENTRIES_MAX, &request->maximum))
			continue;
		if (answers == free_pages_answer && (take_number(word, "minimum-order", ORDER_MAX, &request->minimum_order) ||
						     take_flag(word, "per-cpu", &request->per_cpu)))
			continue;
		if (answers == working_set_answer && (take_number(word, "scans", SCANS_MAX, &request->scans) ||
						      take_number(word, "interval-ms", INTERVAL_MS_MAX, &request->interval_ms) ||
						      take_flag(word, "fresh", &request->fresh)))
			continue;
		return -EINVAL;
	}
	return request->maximum > 0 ? 0 : -EINVAL;
}

static int open_file(struct inode *inode, struct file *file)
{
	file->private_data = kzalloc(sizeof(struct answer), GFP_KERNEL);
	return file->private_data ? 0 : -ENOMEM;
}

static int release_file(struct inode *inode, struct file *file)
{
	struct answer *answer = file->private_data;

	kvfree(answer->bytes);
	kfree(answer);
	return 0;
}

static ssize_t write_request(struct file *file, const char __user *from, size_t length, loff_t *offset)
{
	answer_function answers = pde_data(file_inode(file));
	struct answer *answer = file->private_data;
	struct request request;
	char text[REQUEST_BYTES_MAX];
	int result;

	if (length >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, length))
		return -EFAULT;
	text[length] = '\0';
	result = parse(text, answers, &request);
	if (result)
		return result;
	result = mutex_lock_interruptible(&one_at_a_time);
	if (result)
		return result;
	kvfree(answer->bytes);
	*answer = (struct answer){ 0 };
	result = answers(&request, answer);
	mutex_unlock(&one_at_a_time);
	/* The answer is read from its beginning. */
	*offset = 0;
	return result ? result : length;
}

static ssize_t read_answer(struct file *file, char __user *to, size_t length, loff_t *offset)
{
	struct answer *answer = file->private_data;
	ssize_t result = mutex_lock_interruptible(&one_at_a_time);

	if (result)
		return result;
	result = simple_read_from_buffer(to, length, offset, answer->bytes, answer->length);
	mutex_unlock(&one_at_a_time);
	return result;
}

static const struct proc_ops operations = {
	.proc_open = open_file,
	.proc_release = release_file,
	.proc_read = read_answer,
	.proc_write = write_request,
	.proc_lseek = noop_llseek,
};

static struct proc_dir_entry *folder;

static int __init begin(void)
{
	folder = proc_mkdir("godwit", NULL);
	if (folder && proc_create_data("free-pages", 0600, folder, &operations, free_pages_answer) &&
	    proc_create_data("working-set", 0600, folder, &operations, working_set_answer)) {
		int result = held_locks_begin();

		if (!result)
			return 0;
		proc_remove(folder);
		return result;
	}
	proc_remove(folder);
	return -ENOMEM;
}

static void __exit end(void)
{
	held_locks_end();
	proc_remove(folder);
}

module_init(begin);
module_exit(end);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Free pages and working set of this guest, for Godwit's live migration");
