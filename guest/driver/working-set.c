// SPDX-License-Identifier: GPL-2.0
/*
 * The pages that programs touched since the last look, by the accessed bits of their page tables, which each look
 * clears. A page table that led to such a page counts as touched, too: the processor reads it.
 *
 * The kernel itself has no say in it (no reverse map is walked, no flag of a page is changed); all that its own page
 * reclaim loses is that these pages look unused for a moment.
 */
#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/find.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/pgtable.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <asm/tlbflush.h>

#include "answer.h"

#define FORMAT_VERSION 1
/* More than `maximum` ranges: the highest were left out. */
#define TRUNCATED 1

struct header {
	u32 version;
	u32 flags;
	u32 processes;
	u32 scans;
	u64 mapped_pages; /* that the last scan looked at */
	u64 huge_pages; /* of these, seen through entries of 2 MiB: all or nothing */
	u64 ranges;
	u64 scan_ns; /* of all scans, without the waits */
};

struct page_range {
	u32 first; /* guest page number */
	u32 count;
};

struct scan {
	unsigned long *touched;
	unsigned long pages;
	struct header *header;
};

static unsigned long last_page(void)
{
	unsigned long end = 0;
	int node, index;

	for_each_online_node(node)
		for (index = 0; index < MAX_NR_ZONES; index++) {
			struct zone *zone = NODE_DATA(node)->node_zones + index;

			if (populated_zone(zone))
				end = max(end, zone_end_pfn(zone));
		}
	return end;
}

static void touch(struct scan *scan, unsigned long first, unsigned long count)
{
	if (first < scan->pages && count <= scan->pages - first)
		bitmap_set(scan->touched, first, count);
}

static bool scan_entries(struct scan *scan, struct mm_struct *mm, pmd_t *pmd, pmd_t seen, unsigned long from, unsigned long to)
{
	spinlock_t *lock = pte_lockptr(mm, &seen);
	bool young = false;
	pte_t *pte;

	spin_lock(lock);
	/* The table may have been put away before we had its lock. */
	if (!pmd_same(READ_ONCE(*pmd), seen)) {
		spin_unlock(lock);
		return false;
	}
	pte = pte_offset_kernel(&seen, from);
	for (; from < to; pte++, from += PAGE_SIZE) {
		pte_t entry = READ_ONCE(*pte);

		if (!pte_present(entry) || pte_special(entry))
			continue;
		scan->header->mapped_pages++;
		if (pte_young(entry) && test_and_clear_bit(_PAGE_BIT_ACCESSED, (unsigned long *)&pte->pte)) {
			touch(scan, pte_pfn(entry), 1);
			young = true;
		}
	}
	spin_unlock(lock);
	return young;
}

static bool scan_huge(struct scan *scan, struct mm_struct *mm, pmd_t *pmd)
{
	spinlock_t *lock = pmd_lock(mm, pmd);
	pmd_t entry = READ_ONCE(*pmd);
	bool young = false;

	if (pmd_present(entry) && pmd_leaf(entry)) {
		scan->header->mapped_pages += PTRS_PER_PTE;
		scan->header->huge_pages += PTRS_PER_PTE;
		young = pmd_young(entry) && test_and_clear_bit(_PAGE_BIT_ACCESSED, (unsigned long *)&pmd->pmd);
		if (young)
			touch(scan, pmd_pfn(entry), PTRS_PER_PTE);
	}
	spin_unlock(lock);
	return young;
}

/* Whether something below was touched; the table it was found through then was, too. */
static bool scan_middle(struct scan *scan, struct mm_struct *mm, pud_t *pud, unsigned long from, unsigned long to)
{
	pmd_t *pmd = pmd_offset(pud, from);
	bool young = false;
	unsigned long next;

	for (; from < to; pmd++, from = next) {
		pmd_t entry = READ_ONCE(*pmd);

		next = pmd_addr_end(from, to);
		if (!pmd_present(entry))
			continue;
		if (pmd_leaf(entry)) {
			young |= scan_huge(scan, mm, pmd);
		} else if (!pmd_bad(entry) && scan_entries(scan, mm, pmd, entry, from, next)) {
			touch(scan, pmd_pfn(entry), 1);
			young = true;
		}
		cond_resched();
	}
	return young;
}

static void scan_range(struct scan *scan, struct mm_struct *mm, unsigned long from, unsigned long to)
{
	unsigned long next;

	for (; from < to; from = next) {
		pgd_t *pgd = pgd_offset(mm, from);
		p4d_t *p4d;
		pud_t *pud;

		next = pud_addr_end(from, to);
		if (pgd_none(*pgd) || pgd_bad(*pgd))
			continue;
		p4d = p4d_offset(pgd, from);
		if (p4d_none(*p4d) || p4d_bad(*p4d))
			continue;
		pud = pud_offset(p4d, from);
		/* Entries of 1 GiB belong to huge pages that programs asked for by name. */
		if (pud_none(*pud) || !pud_present(*pud) || pud_leaf(*pud) || pud_bad(*pud))
			continue;
		if (scan_middle(scan, mm, pud, from, next))
			touch(scan, pud_pfn(*pud), 1);
	}
}

static void scan_program(struct scan *scan, struct mm_struct *mm)
{
	VMA_ITERATOR(iterator, mm, 0);
	struct vm_area_struct *area;

	/* Tables are never taken from an area that is still listed while this lock is held. */
	mmap_read_lock(mm);
	for_each_vma(iterator, area)
		if (!(area->vm_flags & (VM_PFNMAP | VM_IO)))
			scan_range(scan, mm, area->vm_start, area->vm_end);
	mmap_read_unlock(mm);
	touch(scan, virt_to_phys(mm->pgd) >> PAGE_SHIFT, 1);
}

static void flush_tlb(void *nothing)
{
	__flush_tlb_all();
}

/* References to all programs' memory: letting go of one may sleep, which the list of processes does not bear. */
static struct mm_struct **all_programs(unsigned int *count)
{
	struct task_struct *task;
	struct mm_struct **programs;
	unsigned int room = 64;

	*count = 0;
	rcu_read_lock();
	for_each_process(task)
		room++;
	rcu_read_unlock();
	programs = kvmalloc_array(room, sizeof(*programs), GFP_KERNEL);
	if (!programs)
		return NULL;
	rcu_read_lock();
	for_each_process(task) {
		if (*count == room)
			break;
		programs[*count] = get_task_mm(task);
		if (programs[*count])
			(*count)++;
	}
	rcu_read_unlock();
	return programs;
}

static int scan_once(struct scan *scan)
{
	u64 since = ktime_get_ns();
	unsigned int count, index;
	struct mm_struct **programs = all_programs(&count);

	if (!programs)
		return -ENOMEM;
	scan->header->mapped_pages = 0;
	scan->header->huge_pages = 0;
	scan->header->processes = count;
	for (index = 0; index < count; index++) {
		scan_program(scan, programs[index]);
		mmput(programs[index]);
		cond_resched();
	}
	kvfree(programs);
	/* A processor that still has an entry in its TLB would not set the bit again. */
	on_each_cpu(flush_tlb, NULL, 1);
	scan->header->scan_ns += ktime_get_ns() - since;
	return 0;
}

static int scan_all(struct scan *scan, const struct request *request)
{
	int result;

	if (request->fresh) {
		result = scan_once(scan);
		if (result)
			return result;
		bitmap_zero(scan->touched, scan->pages);
	}
	while (scan->header->scans < request->scans) {
		if (request->interval_ms && msleep_interruptible(request->interval_ms))
			return -EINTR;
		result = scan_once(scan);
		if (result)
			return result;
		scan->header->scans++;
	}
	return 0;
}

int working_set_answer(const struct request *request, struct answer *answer)
{
	struct header header = { .version = FORMAT_VERSION };
	struct scan scan = { .pages = last_page(), .header = &header };
	unsigned long first, end;
	struct page_range *ranges;
	struct header *whole;
	u64 room = 0;
	int result;

	scan.touched = kvcalloc(BITS_TO_LONGS(scan.pages), sizeof(long), GFP_KERNEL);
	if (!scan.touched)
		return -ENOMEM;
	result = scan_all(&scan, request);
	if (result)
		goto out;
	for_each_set_bitrange(first, end, scan.touched, scan.pages)
		room++;
	if (room > request->maximum) {
		room = request->maximum;
		header.flags |= TRUNCATED;
	}
	whole = kvmalloc(sizeof(*whole) + room * sizeof(*ranges), GFP_KERNEL);
	if (!whole) {
		result = -ENOMEM;
		goto out;
	}
	ranges = (struct page_range *)(whole + 1);
	for_each_set_bitrange(first, end, scan.touched, scan.pages) {
		if (header.ranges == room)
			break;
		ranges[header.ranges++] = (struct page_range){ first, end - first };
	}
	*whole = header;
	answer->bytes = whole;
	answer->length = sizeof(*whole) + header.ranges * sizeof(*ranges);
out:
	kvfree(scan.touched);
	return result;
}
