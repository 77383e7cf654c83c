'use strict';

// Kernels that know less than this one, and sandboxes that allow less: a program runs under a filter that has system
// calls fail (./deny.rs, which cargo builds).

const { constants } = require('node:os');
const { built } = require('./built');

/** waitid(P_PIDFD), and what O_NONBLOCK of pidfd_open() is. */
const waitidOfPidfd = { syscall: 'waitid', args: [{ index: 0, type: 'dword', op: 'eq', val: 3 }] };
const pidfdNonblock = {
  syscall: 'pidfd_open',
  args: [{ index: 1, type: 'dword', op: { masked_eq: 2048 }, val: 2048 }],
};

/** madvise(MADV_POPULATE_WRITE) is there since Linux 5.14. */
const populate = { syscall: 'madvise', args: [{ index: 2, type: 'dword', op: 'eq', val: 23 }] };

/** fcntl(F_ADD_SEALS). */
const seal = { syscall: 'fcntl', args: [{ index: 1, type: 'dword', op: 'eq', val: 1033 }] };

/** What came after Linux 4.18, of which Node is said to need no more. */
const LATER = [
  'pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount fsopen fsconfig fsmount',
  'fspick pidfd_open clone3 close_range openat2 pidfd_getfd faccessat2 process_madvise epoll_pwait2 mount_setattr',
  'quotactl_fd landlock_create_ruleset landlock_add_rule landlock_restrict_self memfd_secret process_mrelease',
  'futex_waitv set_mempolicy_home_node cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue',
  'statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal',
].flatMap(names => names.split(' '));

/**
 * By name, what fails there: the calls, by their error.
 *
 * @type {Record<string, Record<string, (string | object)[]>>}
 */
const KERNELS = {
  'Linux 4.18': { ENOSYS: LATER, EINVAL: [waitidOfPidfd, populate] },
  'Linux 5.3': { EINVAL: [pidfdNonblock, waitidOfPidfd, populate] },
  'Linux 5.4': { EINVAL: [pidfdNonblock, populate] },
  'a profile that forbids pidfds': { EPERM: ['pidfd_open', 'pidfd_send_signal', 'pidfd_getfd'] },
  'a profile that forbids memory with a descriptor': { EPERM: ['memfd_create'] },
  'a profile that forbids seals': { EPERM: [seal] },
  'a profile that forbids signals through pidfds': { EPERM: ['pidfd_send_signal'] },
};

/** The first words of a command that runs another under a kernel. */
function under(kernel) {
  const filters = Object.entries(KERNELS[kernel]).map(([error, calls]) => [
    error,
    {
      mismatch_action: 'allow',
      match_action: { errno: constants.errno[error] },
      filter: calls.map(call => (typeof call === 'string' ? { syscall: call } : call)),
    },
  ]);
  return [deny(), JSON.stringify(Object.fromEntries(filters))];
}

/** The program, as `cargo test` has built it. */
const deny = () => built('deny');

module.exports = { KERNELS, under };
