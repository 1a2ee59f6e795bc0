// SPDX-License-Identifier: GPL-2.0
/*
 * Free pages as the first paper hands them over: the host interrupts the guest, which takes the locks of all zones,
 * writes the list into memory that both share, interrupts the host, and keeps the locks until the host has read the
 * list. The device is ivshmem-doorbell; README.md has what lies in its memory.
 *
 * Nothing of the guest that needs memory goes on meanwhile, so the guest lets go by itself when the host is slow, and
 * says so: the host throws the list away then.
 */
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/pci.h>
#include <linux/processor.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "answer.h"
#include "zones.h"

#define VENDOR_ID 0x1af4
#define DEVICE_ID 0x1110
#define REGISTERS_BAR 0
#define MEMORY_BAR 2
#define DOORBELL 12

#define MAGIC 0x4c545747 /* "GWTL" */
#define FORMAT_VERSION 1
#define LIST_OFFSET 4096

/* Interrupts are off that long: half of what a client calls an outage. */
#define HOLD_US_MAX 1000000
/* A node has three or four; 64 nodes are more than Linux has on a PC by default. */
#define ZONES_MAX 256

#define ORDERS ARRAY_SIZE(((struct zone *)NULL)->free_area)

#define INIT_ON_ALLOC 1
#define INIT_ON_FREE 2
#define TRUNCATED 4

enum state {
	HELD = 1, /* the list is there, all zones are locked */
	ANSWERED = 2, /* the host answered while they were */
	TIMED_OUT = 3, /* the guest let go before */
	REFUSED = 4, /* page_poison */
	MALFORMED = 5,
};

/* The host's words: at the beginning of the memory. */
struct asked {
	u32 magic;
	u32 version;
	u32 request; /* its number; written last */
	u32 answer; /* number of the request whose list was read */
	u32 host; /* whom to interrupt */
	u32 minimum_order;
	u32 maximum;
	u32 hold_us;
};

/* The guest's words: behind them. */
struct told {
	u32 driver; /* version of what answers here; 0: nobody */
	u32 request; /* that `state` is about */
	u32 state; /* written last */
	u32 flags;
	u32 minimum_order;
	u32 zones;
	u64 blocks;
	u64 list_ns; /* for the list, with all locks held */
	u64 lock_ns; /* from the first lock taken to the last one released */
	u64 total_ns; /* of the request */
};

struct doorbell {
	void __iomem *registers;
	void *memory;
	u64 room; /* blocks */
};

static struct zone *zones[ZONES_MAX];

static struct asked *asked_in(const struct doorbell *doorbell)
{
	return doorbell->memory;
}

static struct told *told_in(const struct doorbell *doorbell)
{
	return doorbell->memory + sizeof(struct asked);
}

static void tell(struct doorbell *doorbell, enum state state, u32 host)
{
	smp_wmb();
	WRITE_ONCE(told_in(doorbell)->state, state);
	smp_wmb();
	writel(host << 16, doorbell->registers + DOORBELL);
}

static u32 find_zones(void)
{
	struct zone *zone;
	u32 count = 0;
	int node;

	for_each_online_node(node)
		for_each_populated_zone_of(node, zone)
			if (count < ZONES_MAX)
				zones[count++] = zone;
	return count;
}

/* True where the host said in time that it has read the list. */
static bool await_answer(struct asked *asked, u32 request, u64 until_ns)
{
	while (READ_ONCE(asked->answer) != request) {
		if (ktime_get_ns() >= until_ns)
			return false;
		cpu_relax();
	}
	return true;
}

/* The kernel itself never takes a zone's lock with another's held, so that any order of them will do. */
static enum state list_with_locks(struct doorbell *doorbell, u32 request)
{
	struct asked *asked = asked_in(doorbell);
	struct told *told = told_in(doorbell);
	struct block_list list = { .blocks = doorbell->memory + LIST_OFFSET };
	u32 host = READ_ONCE(asked->host), minimum_order = READ_ONCE(asked->minimum_order), count = find_zones(), index;
	u64 hold_ns = (u64)min_t(u32, READ_ONCE(asked->hold_us), HOLD_US_MAX) * NSEC_PER_USEC;
	unsigned long flags;
	bool answered;
	u64 since;

	list.room = min_t(u64, READ_ONCE(asked->maximum), doorbell->room);
	told->minimum_order = least_order(minimum_order, list.room);
	told->flags = (static_branch_unlikely(&init_on_alloc) ? INIT_ON_ALLOC : 0) |
		      (static_branch_unlikely(&init_on_free) ? INIT_ON_FREE : 0);
	told->zones = count;

	local_irq_save(flags);
	since = ktime_get_ns();
	for (index = 0; index < count; index++)
		spin_lock(&zones[index]->lock);
	for (index = 0; index < count; index++)
		add_free_blocks(&list, zones[index], told->minimum_order);
	if (list.overflowed || told->minimum_order > minimum_order)
		told->flags |= TRUNCATED;
	told->blocks = list.count;
	told->list_ns = ktime_get_ns() - since;
	tell(doorbell, HELD, host);
	answered = await_answer(asked, request, since + hold_ns);
	while (index-- > 0)
		spin_unlock(&zones[index]->lock);
	told->lock_ns = ktime_get_ns() - since;
	local_irq_restore(flags);
	return answered ? ANSWERED : TIMED_OUT;
}

/* In a thread: only the part with locks is without interrupts. */
static irqreturn_t rung(int irq, void *data)
{
	struct doorbell *doorbell = data;
	struct asked *asked = asked_in(doorbell);
	struct told *told = told_in(doorbell);
	u32 request = READ_ONCE(asked->request);
	u64 since = ktime_get_ns();
	enum state state;

	/* Somebody rang for a request that is answered already. */
	if (request == told->request)
		return IRQ_HANDLED;
	smp_rmb();
	WRITE_ONCE(told->state, 0);
	smp_wmb();
	told->request = request;
	if (page_poisoning_enabled())
		state = REFUSED;
	else if (READ_ONCE(asked->version) != FORMAT_VERSION || READ_ONCE(asked->minimum_order) >= ORDERS ||
		 READ_ONCE(asked->maximum) == 0)
		state = MALFORMED;
	else
		state = list_with_locks(doorbell, request);
	told->total_ns = ktime_get_ns() - since;
	tell(doorbell, state, READ_ONCE(asked->host));
	return IRQ_HANDLED;
}

static int begin(struct pci_dev *device, const struct pci_device_id *id)
{
	struct doorbell *doorbell = devm_kzalloc(&device->dev, sizeof(*doorbell), GFP_KERNEL);
	resource_size_t length = pci_resource_len(device, MEMORY_BAR);
	int result;

	if (!doorbell)
		return -ENOMEM;
	result = pcim_enable_device(device);
	if (result)
		return result;
	/* The host's other side of it maps the same pages cached. */
	doorbell->memory = devm_memremap(&device->dev, pci_resource_start(device, MEMORY_BAR), length, MEMREMAP_WB);
	if (IS_ERR(doorbell->memory))
		return PTR_ERR(doorbell->memory);
	/* There are other uses of such devices, which are not ours. */
	if (length <= LIST_OFFSET || asked_in(doorbell)->magic != MAGIC)
		return -ENODEV;
	doorbell->room = (length - LIST_OFFSET) / sizeof(block);
	doorbell->registers = pcim_iomap(device, REGISTERS_BAR, 0);
	if (!doorbell->registers)
		return -ENOMEM;
	pci_set_master(device);
	result = pci_alloc_irq_vectors(device, 1, 1, PCI_IRQ_MSIX);
	if (result < 0)
		return result;
	pci_set_drvdata(device, doorbell);
	told_in(doorbell)->request = asked_in(doorbell)->request;
	result = request_threaded_irq(pci_irq_vector(device, 0), NULL, rung, IRQF_ONESHOT, "godwit", doorbell);
	if (result) {
		pci_free_irq_vectors(device);
		return result;
	}
	WRITE_ONCE(told_in(doorbell)->driver, FORMAT_VERSION);
	return 0;
}

static void end(struct pci_dev *device)
{
	struct doorbell *doorbell = pci_get_drvdata(device);

	WRITE_ONCE(told_in(doorbell)->driver, 0);
	free_irq(pci_irq_vector(device, 0), doorbell);
	pci_free_irq_vectors(device);
}

static const struct pci_device_id devices[] = { { PCI_DEVICE(VENDOR_ID, DEVICE_ID) }, {} };

static struct pci_driver driver = {
	.name = "godwit",
	.id_table = devices,
	.probe = begin,
	.remove = end,
};

int held_locks_begin(void)
{
	return pci_register_driver(&driver);
}

void held_locks_end(void)
{
	pci_unregister_driver(&driver);
}
