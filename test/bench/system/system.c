/*
 * What a kernel does for its processes, timed inside a Linux guest (static, riscv64 Linux):
 *
 *   system KERNEL          one of `kernels` below: batches of operations for WARM_UP_NS, then for TIMED_NS; prints
 *                          `system KERNEL <ns of one operation> <operations timed> <check of each batch>`
 *   system list            prints the names of the kernels, a line each
 *   system time CMD ...    forks, executes and waits, standard input /dev/null, output into a file; prints
 *                          `time <ns> <bytes of output> <check>`, the check being FNV-1a of the output
 *   system text BYTES      prints text that is always the same: words of an own generator
 *
 * Whatever fails prints why and exits with 1. The times are of CLOCK_MONOTONIC, which the guest reads without a call of
 * the kernel. Not measured: disks, networks, more than one processor.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TINY "/tmp/tiny"
#define SCRATCH "/tmp/scratch"
#define OUTPUT "/tmp/output"
#define PAGE_BYTES 4096ul
#define MAPPED_PAGES 16ul
#define WARM_UP_NS 500000000u
#define TIMED_NS 500000000u

static void fail(const char *what)
{
	fprintf(stderr, "system: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* For calls that give -1 when they fail. */
static long must(long result, const char *what)
{
	if (result == -1)
		fail(what);
	return result;
}

static uint64_t now_ns(void)
{
	struct timespec time;
	must(clock_gettime(CLOCK_MONOTONIC, &time), "clock_gettime");
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* The child of a kernel ended as it should. */
static void reap(pid_t child)
{
	int status;
	must(waitpid(child, &status, 0), "waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		errno = ECHILD;
		fail("a child ended badly");
	}
}

/* ---- System calls ---------------------------------------------------------------------------------------------- */

static unsigned long system_calls(unsigned long operations)
{
	unsigned long check = 0;
	pid_t self = getpid();
	for (unsigned long i = 0; i < operations; i++)
		check += syscall(SYS_getpid) == self;
	return check;
}

static unsigned long open_and_close(unsigned long operations)
{
	unsigned long check = 0;
	for (unsigned long i = 0; i < operations; i++) {
		int file = (int)must(open("/etc/passwd", O_RDONLY), "open");
		check += file > 2;
		must(close(file), "close");
	}
	return check;
}

/* One byte at a time out of a file in memory. */
static unsigned long reads(unsigned long operations)
{
	unsigned long check = 0;
	int file = (int)must(open("/etc/passwd", O_RDONLY), "open");
	for (unsigned long i = 0; i < operations; i++) {
		unsigned char byte;
		must(pread(file, &byte, 1, (off_t)(i & 7)), "pread");
		check += byte;
	}
	must(close(file), "close");
	return check;
}

/* ---- Processes ------------------------------------------------------------------------------------------------- */

static unsigned long forks(unsigned long operations)
{
	for (unsigned long i = 0; i < operations; i++) {
		pid_t child = (pid_t)must(fork(), "fork");
		if (child == 0)
			_exit(0);
		reap(child);
	}
	return operations;
}

/* The smallest program there is: exit(0), in one page of file. */
static void write_tiny(void)
{
	static const uint32_t code[] = {
		0x00000513, /* li a0, 0 */
		0x05d00893, /* li a7, 93 (exit) */
		0x00000073, /* ecall */
	};
	const uint64_t base = 0x10000;
	struct {
		Elf64_Ehdr file;
		Elf64_Phdr segment;
		uint32_t code[sizeof code / sizeof code[0]];
	} image;
	memset(&image, 0, sizeof image);
	memcpy(image.file.e_ident, ELFMAG, SELFMAG);
	image.file.e_ident[EI_CLASS] = ELFCLASS64;
	image.file.e_ident[EI_DATA] = ELFDATA2LSB;
	image.file.e_ident[EI_VERSION] = EV_CURRENT;
	image.file.e_type = ET_EXEC;
	image.file.e_machine = EM_RISCV;
	image.file.e_version = EV_CURRENT;
	image.file.e_entry = base + sizeof image.file + sizeof image.segment;
	image.file.e_phoff = sizeof image.file;
	image.file.e_ehsize = sizeof image.file;
	image.file.e_phentsize = sizeof image.segment;
	image.file.e_phnum = 1;
	image.segment.p_type = PT_LOAD;
	image.segment.p_flags = PF_R | PF_X;
	image.segment.p_vaddr = image.segment.p_paddr = base;
	image.segment.p_filesz = image.segment.p_memsz = sizeof image;
	image.segment.p_align = PAGE_BYTES;
	memcpy(image.code, code, sizeof code);
	int file = (int)must(open(TINY, O_WRONLY | O_CREAT | O_TRUNC, 0755), "open " TINY);
	must(write(file, &image, sizeof image), "write " TINY);
	must(close(file), "close");
}

static unsigned long executions(unsigned long operations)
{
	char *const arguments[] = { TINY, NULL };
	char *const environment[] = { NULL };
	write_tiny();
	for (unsigned long i = 0; i < operations; i++) {
		pid_t child = (pid_t)must(fork(), "fork");
		if (child == 0) {
			execve(TINY, arguments, environment);
			_exit(1);
		}
		reap(child);
	}
	return operations;
}

/* ---- Memory ---------------------------------------------------------------------------------------------------- */

static unsigned char *map(size_t length, int protection, int flags, int file)
{
	void *area = mmap(NULL, length, protection, flags, file, 0);
	if (area == MAP_FAILED)
		fail("mmap");
	return area;
}

/* An operation is the first touch of one page, and that it is freed with all the others. */
static unsigned long page_faults(unsigned long operations)
{
	unsigned long check = 0;
	size_t length = operations * PAGE_BYTES;
	unsigned char *area = map(length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	/* Fails harmlessly in a kernel without huge pages. */
	madvise(area, length, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < length; at += PAGE_BYTES) {
		area[at] = 1;
		check += area[at + 1] + 1u;
	}
	must(munmap(area, length), "munmap");
	return check;
}

/* An operation maps 16 pages, touches two of them and unmaps. */
static unsigned long anonymous_maps(unsigned long operations)
{
	unsigned long check = 0;
	for (unsigned long i = 0; i < operations; i++) {
		size_t length = MAPPED_PAGES * PAGE_BYTES;
		unsigned char *area = map(length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		area[0] = 1;
		area[length / 2] = 2;
		check += area[0] + area[length / 2];
		must(munmap(area, length), "munmap");
	}
	return check;
}

/* An operation maps 16 pages of a file in memory, reads all of them and unmaps. */
static unsigned long file_maps(unsigned long operations)
{
	unsigned long check = 0;
	size_t length = MAPPED_PAGES * PAGE_BYTES;
	static unsigned char page[PAGE_BYTES];
	int file = (int)must(open(SCRATCH, O_RDWR | O_CREAT | O_TRUNC, 0644), "open " SCRATCH);
	memset(page, 3, sizeof page);
	for (unsigned long i = 0; i < MAPPED_PAGES; i++)
		must(write(file, page, sizeof page), "write " SCRATCH);
	for (unsigned long i = 0; i < operations; i++) {
		unsigned char *area = map(length, PROT_READ, MAP_SHARED, file);
		for (size_t at = 0; at < length; at += PAGE_BYTES)
			check += area[at];
		must(munmap(area, length), "munmap");
	}
	must(close(file), "close");
	must(unlink(SCRATCH), "unlink");
	return check;
}

/* ---- Between processes ----------------------------------------------------------------------------------------- */

/* An operation is a byte to the other process and one back. */
static unsigned long pipe_trips(unsigned long operations)
{
	int there[2], back[2];
	unsigned long check = 0;
	unsigned char byte;
	must(pipe(there), "pipe");
	must(pipe(back), "pipe");
	pid_t child = (pid_t)must(fork(), "fork");
	if (child == 0) {
		close(there[1]);
		close(back[0]);
		while (must(read(there[0], &byte, 1), "read") == 1) {
			byte++;
			must(write(back[1], &byte, 1), "write");
		}
		_exit(0);
	}
	close(there[0]);
	close(back[1]);
	for (unsigned long i = 0; i < operations; i++) {
		byte = (unsigned char)i;
		must(write(there[1], &byte, 1), "write");
		must(read(back[0], &byte, 1), "read");
		check += byte;
	}
	close(there[1]);
	close(back[0]);
	reap(child);
	return check;
}

static volatile sig_atomic_t handled;

static void count_signal(int number)
{
	(void)number;
	handled++;
}

static void handle(int number)
{
	struct sigaction action;
	memset(&action, 0, sizeof action);
	action.sa_handler = count_signal;
	must(sigaction(number, &action, NULL), "sigaction");
	handled = 0;
}

static unsigned long own_signals(unsigned long operations)
{
	handle(SIGUSR1);
	for (unsigned long i = 0; i < operations; i++)
		raise(SIGUSR1);
	return (unsigned long)handled;
}

/* Waits until as many have been handled; the signal is blocked but for here, so none is missed. */
static void await_signals(sig_atomic_t count, const sigset_t *open)
{
	while (handled < count)
		sigsuspend(open);
}

/* An operation is a signal to the other process and one back, each through a handler. */
static unsigned long signal_trips(unsigned long operations)
{
	sigset_t blocked, open;
	handle(SIGUSR1);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	must(sigprocmask(SIG_BLOCK, &blocked, &open), "sigprocmask");
	pid_t parent = getpid();
	pid_t child = (pid_t)must(fork(), "fork");
	for (unsigned long i = 1; i <= operations; i++) {
		if (child != 0)
			must(kill(child, SIGUSR1), "kill");
		await_signals((sig_atomic_t)i, &open);
		if (child == 0)
			must(kill(parent, SIGUSR1), "kill");
	}
	if (child == 0)
		_exit(0);
	reap(child);
	must(sigprocmask(SIG_SETMASK, &open, NULL), "sigprocmask");
	return (unsigned long)handled;
}

static unsigned long yields(unsigned long operations)
{
	pid_t child = (pid_t)must(fork(), "fork");
	for (unsigned long i = 0; i < operations; i++)
		must(syscall(SYS_sched_yield), "sched_yield");
	if (child == 0)
		_exit(0);
	reap(child);
	return operations;
}

/* ---- The programs' side ---------------------------------------------------------------------------------------- */

struct sum {
	unsigned long bytes;
	uint64_t fnv;
};

static struct sum sum_of(int file)
{
	static unsigned char buffer[1 << 16];
	struct sum sum = { 0, 0xcbf29ce484222325u };
	long length;
	must(lseek(file, 0, SEEK_SET), "lseek");
	while ((length = must(read(file, buffer, sizeof buffer), "read " OUTPUT)) > 0) {
		for (long i = 0; i < length; i++)
			sum.fnv = (sum.fnv ^ buffer[i]) * 0x100000001b3u;
		sum.bytes += (unsigned long)length;
	}
	return sum;
}

static int time_command(char **command)
{
	int output = (int)must(open(OUTPUT, O_RDWR | O_CREAT | O_TRUNC, 0644), "open " OUTPUT);
	int input = (int)must(open("/dev/null", O_RDONLY), "open /dev/null");
	int status;
	uint64_t start = now_ns();
	pid_t child = (pid_t)must(fork(), "fork");
	if (child == 0) {
		dup2(input, 0);
		dup2(output, 1);
		execv(command[0], command);
		_exit(127);
	}
	must(waitpid(child, &status, 0), "waitpid");
	uint64_t elapsed = now_ns() - start;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "system: %s ended with status %#x\n", command[0], status);
		return 1;
	}
	struct sum sum = sum_of(output);
	must(unlink(OUTPUT), "unlink");
	printf("time %llu %lu %016llx\n", (unsigned long long)elapsed, sum.bytes, (unsigned long long)sum.fnv);
	return 0;
}

/* Numerical Recipes' generator; its upper bits. */
static uint32_t random_below(uint32_t limit)
{
	static uint32_t state = 12345;
	state = state * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)state * limit) >> 32);
}

/* Words of a made-up vocabulary, the first ones most often, lines of about 70 letters. */
static void print_text(unsigned long bytes)
{
	enum { WORDS = 3000, LONGEST = 12 };
	static char words[WORDS][LONGEST + 1];
	unsigned long column = 0, written = 0;
	for (unsigned word = 0; word < WORDS; word++) {
		unsigned length = 2 + random_below(4) + random_below(LONGEST - 4);
		for (unsigned i = 0; i < length; i++)
			words[word][i] = (i & 1) ? "aeiou"[random_below(5)] : "bcdfghklmnprstvw"[random_below(16)];
	}
	while (written < bytes) {
		const char *word = words[random_below(1 + random_below(1 + random_below(WORDS)))];
		unsigned long length = strlen(word);
		fputs(word, stdout);
		column += length + 1;
		putchar(column > 70 ? '\n' : ' ');
		column = column > 70 ? 0 : column;
		written += length + 1;
	}
}

/* The operations of a batch: some hundredths of a second, and so many that a fork for them does not count. */
static const struct kernel {
	const char *name;
	unsigned long operations;
	unsigned long (*run)(unsigned long operations);
} kernels[] = {
	{ "syscall", 10000, system_calls },
	{ "read", 5000, reads },
	{ "open", 500, open_and_close },
	{ "fork", 10, forks },
	{ "exec", 5, executions },
	{ "fault", 1000, page_faults },
	{ "mmap-anonymous", 100, anonymous_maps },
	{ "mmap-file", 100, file_maps },
	{ "pipe", 500, pipe_trips },
	{ "signal", 300, own_signals },
	{ "signal-process", 300, signal_trips },
	{ "yield", 1000, yields },
};

struct batches {
	unsigned long count;
	uint64_t elapsed_ns;
	/* What each of them gave. */
	unsigned long check;
};

static struct batches run_for(const struct kernel *kernel, uint64_t least_ns)
{
	struct batches batches = { 0, 0, 0 };
	uint64_t start = now_ns();
	do {
		unsigned long check = kernel->run(kernel->operations);
		if (batches.count > 0 && check != batches.check) {
			fprintf(stderr, "system: %s gave %lu, then %lu\n", kernel->name, batches.check, check);
			exit(1);
		}
		batches.check = check;
		batches.count++;
		batches.elapsed_ns = now_ns() - start;
	} while (batches.elapsed_ns < least_ns);
	return batches;
}

static int run_kernel(const char *name)
{
	for (unsigned i = 0; i < sizeof kernels / sizeof kernels[0]; i++) {
		if (strcmp(kernels[i].name, name) != 0)
			continue;
		run_for(&kernels[i], WARM_UP_NS);
		struct batches timed = run_for(&kernels[i], TIMED_NS);
		unsigned long operations = timed.count * kernels[i].operations;
		double ns = (double)timed.elapsed_ns / (double)operations;
		printf("system %s %.2f %lu %lu\n", name, ns, operations, timed.check);
		return 0;
	}
	fprintf(stderr, "system: no kernel %s\n", name);
	return 1;
}

int main(int count, char **words)
{
	if (count >= 3 && strcmp(words[1], "time") == 0)
		return time_command(words + 2);
	if (count == 3 && strcmp(words[1], "text") == 0) {
		print_text(strtoul(words[2], NULL, 10));
		return 0;
	}
	if (count == 2 && strcmp(words[1], "list") == 0) {
		for (unsigned i = 0; i < sizeof kernels / sizeof kernels[0]; i++)
			puts(kernels[i].name);
		return 0;
	}
	if (count == 2)
		return run_kernel(words[1]);
	fprintf(stderr, "system KERNEL | list | time CMD ... | text BYTES\n");
	return 1;
}
