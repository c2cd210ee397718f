/*
 * seccomp_calls - the lists, as rows of an array: CALL(name, lists, rule). Private to box/.
 *
 * No guard: included between braces by whoever has defined CALL and included the numbers of one
 * architecture. A name which that architecture (or its header) does not know is not in the list.
 *
 * TOOLS are allow-lists, as is PARSER; ROLES and BOXED are lists of what is refused.
 */
/* clang-format off */

/* ---- tools: the measured union and its neighbours ---- */

/* memory, time, threads */
TOOL(brk), TOOL(madvise), TOOL(membarrier), TOOL(mincore), TOOL(mlock), TOOL(mmap), TOOL(mprotect),
TOOL(mremap), TOOL(msync), TOOL(munlock), TOOL(munmap),
TOOL(alarm), TOOL(clock_getres), TOOL(clock_gettime), TOOL(clock_nanosleep), TOOL(getitimer),
TOOL(gettimeofday), TOOL(nanosleep), TOOL(pause), TOOL(setitimer), TOOL(time), TOOL(timer_create),
TOOL(timer_delete), TOOL(timer_getoverrun), TOOL(timer_gettime), TOOL(timer_settime), TOOL(times),
TOOL(futex), TOOL(getcpu), TOOL(gettid), TOOL(restart_syscall), TOOL(rseq), TOOL(sched_getaffinity),
TOOL(sched_getparam), TOOL(sched_get_priority_max), TOOL(sched_get_priority_min),
TOOL(sched_getscheduler), TOOL(sched_yield), TOOL(set_robust_list), TOOL(set_tid_address),
CALL(sched_setaffinity, LIST_NETWORK | LIST_OFFLINE, PLAIN), CALL(sched_setaffinity, LIST_BROKER, SELF),
CALL(setpriority, LIST_NETWORK | LIST_OFFLINE, PLAIN),

/* processes and signals; in a broker's box processes of the same user may be outside */
TOOL(arch_prctl), CALL(clone, LIST_TOOLS, CLONE), TOOL(execve), TOOL(exit), TOOL(exit_group),
TOOL(fork), TOOL(vfork), TOOL(wait4), TOOL(waitid), TOOL(prctl), CALL(prlimit64, LIST_TOOLS, SELF),
TOOL(getrlimit), TOOL(setrlimit), TOOL(getrusage), TOOL(getpriority), TOOL(capget),
TOOL(getpid), TOOL(getppid), TOOL(getpgid), TOOL(getpgrp), TOOL(getsid), TOOL(setpgid), TOOL(setsid),
TOOL(getuid), TOOL(geteuid), TOOL(getresuid), TOOL(getgid), TOOL(getegid), TOOL(getresgid),
TOOL(getgroups), TOOL(setuid), TOOL(setgid), TOOL(setreuid), TOOL(setregid), TOOL(setresuid),
TOOL(setresgid), TOOL(setgroups),
TOOL(rt_sigaction), TOOL(rt_sigpending), TOOL(rt_sigprocmask), TOOL(rt_sigreturn),
TOOL(rt_sigsuspend), TOOL(rt_sigtimedwait), TOOL(sigaltstack), TOOL(signalfd4),
CALL(kill, LIST_TOOLS, SIGNAL), CALL(tkill, LIST_TOOLS, SIGNAL), CALL(tgkill, LIST_TOOLS, SIGNAL),
CALL(rt_sigqueueinfo, LIST_TOOLS, SIGNAL), CALL(rt_tgsigqueueinfo, LIST_TOOLS, SIGNAL),

/* files */
TOOL(access), TOOL(faccessat), TOOL(faccessat2), TOOL(chdir), TOOL(fchdir), TOOL(getcwd),
TOOL(chmod), TOOL(fchmod), TOOL(fchmodat), CALL(fchmodat2, LIST_TOOLS | LIST_BOXED, PLAIN), TOOL(umask),
TOOL(open), TOOL(openat), TOOL(openat2), TOOL(creat), TOOL(close), TOOL(close_range),
TOOL(dup), TOOL(dup2), TOOL(dup3), TOOL(fcntl), TOOL(flock), CALL(ioctl, LIST_TOOLS, IOCTL),
TOOL(read), TOOL(readv), TOOL(pread64), TOOL(preadv), TOOL(preadv2),
TOOL(write), TOOL(writev), TOOL(pwrite64), TOOL(pwritev), TOOL(pwritev2), TOOL(lseek),
TOOL(sendfile), TOOL(copy_file_range), TOOL(fadvise64), TOOL(fallocate), TOOL(fdatasync),
TOOL(fsync), TOOL(ftruncate), TOOL(truncate),
TOOL(fstat), TOOL(lstat), TOOL(newfstatat), TOOL(stat), TOOL(statx), TOOL(fstatfs), TOOL(statfs),
TOOL(getxattr), TOOL(lgetxattr), TOOL(fgetxattr), TOOL(listxattr),
TOOL(llistxattr), TOOL(flistxattr), TOOL(getdents64), TOOL(link), TOOL(linkat), TOOL(mkdir), TOOL(mkdirat), TOOL(readlink),
TOOL(readlinkat), TOOL(rename), TOOL(renameat), TOOL(renameat2), TOOL(rmdir), TOOL(symlink),
TOOL(symlinkat), TOOL(unlink), TOOL(unlinkat), TOOL(utime), TOOL(utimes), TOOL(futimesat),
TOOL(utimensat),
TOOL(epoll_create), TOOL(epoll_create1), TOOL(epoll_ctl), TOOL(epoll_pwait), TOOL(epoll_pwait2),
TOOL(epoll_wait), TOOL(eventfd2), TOOL(pipe), TOOL(pipe2), TOOL(poll), TOOL(ppoll),
TOOL(pselect6), TOOL(select), TOOL(timerfd_create), TOOL(timerfd_gettime), TOOL(timerfd_settime),
TOOL(getrandom), TOOL(sysinfo), TOOL(uname),

/* sockets */
CALL(socket, LIST_TOOLS, SOCKET), CALL(socketpair, LIST_TOOLS, SOCKETPAIR), TOOL(accept), TOOL(accept4),
TOOL(bind), TOOL(getpeername), TOOL(getsockname), TOOL(getsockopt), TOOL(recvfrom), TOOL(recvmmsg),
TOOL(recvmsg), TOOL(shutdown), CALL(listen, LIST_TOOLS, LISTEN), CALL(setsockopt, LIST_TOOLS, SOCKOPT),
CALL(connect, LIST_TOOLS, NOTIFY), CALL(sendmmsg, LIST_TOOLS, NOTIFY), CALL(sendmsg, LIST_TOOLS, NOTIFY),
CALL(sendto, LIST_TOOLS, SENDTO),

/* ---- the parser process: open descriptors and memory ---- */

PARSE(read), PARSE(write), PARSE(writev), PARSE(pwrite64), PARSE(lseek), PARSE(close),
PARSE(poll), PARSE(ppoll), PARSE(fsync), PARSE(fdatasync), PARSE(ftruncate), PARSE(fstat),
PARSE(brk), PARSE(madvise), CALL(mmap, LIST_PARSER, MEMORY),
CALL(mprotect, LIST_PARSER, MEMORY), PARSE(mremap), PARSE(munmap), PARSE(futex), PARSE(clock_gettime),
PARSE(gettimeofday), PARSE(getrandom), PARSE(restart_syscall), PARSE(rt_sigreturn), PARSE(exit),
PARSE(exit_group),
#if SECCOMP_ASAN
/* What its reports are made with. */
PARSE(getpid), PARSE(gettid), PARSE(getuid), PARSE(sigaltstack), PARSE(rt_sigaction),
PARSE(rt_sigprocmask), PARSE(sched_yield), PARSE(open), PARSE(openat), PARSE(stat), PARSE(newfstatat),
PARSE(readlink), PARSE(readlinkat), PARSE(getcwd), PARSE(prctl), PARSE(prlimit64), PARSE(getrlimit),
PARSE(pipe), PARSE(pipe2), PARSE(ioctl), PARSE(sched_getaffinity), PARSE(access), PARSE(faccessat),
CALL(clone, LIST_PARSER, REFUSED), CALL(clone3, LIST_PARSER, REFUSED), CALL(fork, LIST_PARSER, REFUSED),
CALL(vfork, LIST_PARSER, REFUSED), CALL(ptrace, LIST_PARSER, REFUSED),
#endif

/* ---- our own roles, and what makes boxes in a box or compiles at run time: refused ---- */

#if !SECCOMP_ASAN /* whose leak checker stops the process by it */
NEVER(ptrace),
#endif
NEVER(process_madvise), NEVER(process_mrelease), NEVER(kcmp),
NEVER(bpf), NEVER(perf_event_open), NEVER(userfaultfd), NEVER(io_uring_setup),
NEVER(io_uring_enter), NEVER(io_uring_register), NEVER(add_key), NEVER(keyctl), NEVER(request_key),
NEVER(init_module), NEVER(finit_module), NEVER(delete_module), NEVER(kexec_load),
NEVER(kexec_file_load), NEVER(reboot), NEVER(swapon), NEVER(swapoff), NEVER(acct), NEVER(quotactl),
NEVER(quotactl_fd), NEVER(syslog), NEVER(settimeofday), NEVER(clock_settime), NEVER(clock_adjtime),
NEVER(adjtimex), NEVER(iopl), NEVER(ioperm), NEVER(modify_ldt), NEVER(vhangup),
NEVER(fanotify_init), NEVER(open_by_handle_at), NEVER(name_to_handle_at), NEVER(lookup_dcookie),
NEVER(nfsservctl), NEVER(uselib), NEVER(ustat), NEVER(sysfs), NEVER(remap_file_pages),
NEVER(move_pages), NEVER(migrate_pages), NEVER(vmsplice), NEVER(memfd_secret), NEVER(personality),
NEVER(mbind), NEVER(set_mempolicy),
CALL(socket, LIST_ROLES | LIST_BOXED, SOCKET), CALL(socketpair, LIST_ROLES | LIST_BOXED, SOCKETPAIR),
CALL(ioctl, LIST_ROLES | LIST_BOXED, IOCTL),

/* Foreign code stands below these two: what neither of them, nor a box being made, has a use for. */
CALL(prlimit64, LIST_BOXED, SELF), BOXED(splice), BOXED(tee), BOXED(io_setup), BOXED(shmget), BOXED(shmat),
BOXED(shmctl), BOXED(semget), BOXED(semctl), BOXED(msgget), BOXED(msgctl), BOXED(mq_open),
BOXED(mq_unlink), CALL(chroot, LIST_NESTING, REFUSED), CALL(fsopen, LIST_NESTING, REFUSED),
CALL(fsconfig, LIST_NESTING, REFUSED), CALL(fsmount, LIST_NESTING, REFUSED),
CALL(fspick, LIST_NESTING, REFUSED), CALL(process_vm_readv, LIST_NESTING, REFUSED),
CALL(process_vm_writev, LIST_NESTING, REFUSED), CALL(pidfd_getfd, LIST_NESTING, REFUSED),
CALL(seccomp, LIST_AGENT, REFUSED),

/* and by all but the runner, which makes boxes */
CALL(execve, LIST_ROLES & ~LIST_RUNNER, REFUSED), CALL(execveat, LIST_ROLES & ~LIST_RUNNER, REFUSED),
UNBOXED(unshare), UNBOXED(setns), UNBOXED(mount),
UNBOXED(umount2), UNBOXED(pivot_root), UNBOXED(chroot), UNBOXED(open_tree), UNBOXED(move_mount),
UNBOXED(fsopen), UNBOXED(fsconfig), UNBOXED(fsmount), UNBOXED(fspick), UNBOXED(mount_setattr),
UNBOXED(sethostname), UNBOXED(setdomainname), UNBOXED(process_vm_readv), UNBOXED(process_vm_writev),
UNBOXED(pidfd_getfd), UNBOXED(mknod), UNBOXED(mknodat),
CALL(clone, (LIST_ROLES & ~LIST_RUNNER) | LIST_AGENT, CLONE),
CALL(clone3, (LIST_ROLES & ~LIST_RUNNER) | LIST_AGENT, ABSENT),

/* whose listeners are made in boxes; who has none */
CALL(listen, LIST_PROXY | LIST_DEPOT | LIST_EDGE, REFUSED),

    /* clang-format on */
