//! How much memory pictures may have: of what is free in the machine, in the container, and under the process's own
//! limits, the least.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use sysinfo::{Process, ProcessRefreshKind, ProcessesToUpdate, System};

/// Where nobody limits the process itself, it tries this much: what the system calls free is an estimate, and other
/// memory can be reclaimed.
const LEAST: u64 = 64 << 20;

/// Where the system says nothing, this is what most machines can spare.
const UNTOLD: u64 = 1 << 30;

/// Address space that a thread takes for its stack, in bytes.
const OF_A_THREAD: u64 = 2 << 20;

/// Address space for the threads that read and write files.
const OF_FILES: u64 = 16 << 20;

/// Has the process do with one heap where its address space is limited (`ulimit -v`): glibc would set 64 MiB aside for
/// each thread. To be called before there are threads.
pub(crate) fn keep_within_limits() {
    if limit_on_address_space().is_some() {
        pixmill_codecs::use_one_heap();
    }
}

/// Three quarters of what is free outside, or nine tenths of what the process's own limit leaves, in bytes, while so many
/// threads are at work.
pub(crate) fn memory_to_spare(threads: usize) -> u64 {
    let mut system = System::new().ok();
    let this = sysinfo::get_current_pid().ok();
    if let (Some(system), Some(this)) = (&mut system, this) {
        system.refresh_memory();
        let memory = ProcessRefreshKind::nothing().with_memory();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[this]), true, memory);
    }
    let process = system.as_ref().zip(this);
    let process = process.and_then(|(system, this)| system.process(this));
    let spare = free_outside(system.as_ref(), process);
    let Some(limit) = limit_on_address_space() else {
        return spare;
    };
    let stacks = OF_A_THREAD * u64::try_from(threads).unwrap_or(u64::from(u32::MAX));
    // Where the system says nothing of this process, it has what it usually has at its start.
    let taken = process.map_or(OF_FILES * 4, Process::virtual_memory);
    let taken = taken.saturating_add(OF_FILES).saturating_add(stacks);
    // Nobody else has a part of it; a tenth is lost between buffers.
    spare.min(limit.saturating_sub(taken) / 10 * 9)
}

/// Three quarters of what is free in the machine and in the container.
///
/// Of a container, what its own processes hold counts and what only caches files does not; what others hold within the
/// same limit, further up, is seen in the machine's figure alone.
fn free_outside(system: Option<&System>, process: Option<&Process>) -> u64 {
    let Some(system) = system else { return UNTOLD };
    let containers = [
        system.cgroup_limits(),
        process.and_then(Process::cgroup_limits),
    ];
    let outside = containers
        .into_iter()
        .flatten()
        .map(|limits| limits.total_memory.saturating_sub(limits.rss))
        .chain([system.available_memory()])
        .min()
        .unwrap_or(UNTOLD);
    (outside / 4 * 3).max(LEAST)
}

/// In bytes; none where there is none. Only Linux keeps such a limit, and counts as it does.
fn limit_on_address_space() -> Option<u64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_AS).ok()?;
    (cfg!(target_os = "linux") && soft != RLIM_INFINITY).then_some(soft)
}
