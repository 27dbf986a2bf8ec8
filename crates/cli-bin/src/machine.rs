//! How much memory pictures may have: of what is free in the machine, in the container, and under the process's own
//! limits, the least.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use sysinfo::{Process, ProcessRefreshKind, ProcessesToUpdate, System};

/// Where nobody limits the process itself, it tries this much: what the system calls free is an estimate, and other
/// memory can be reclaimed.
const LEAST: u64 = 64 << 20;

/// Where the system says nothing, this is what most machines can spare.
const UNTOLD: u64 = 1 << 30;

/// Address space that each job takes beside its picture, in bytes: two threads' stacks.
const OF_A_JOB: u64 = 4 << 20;

/// Address space for the threads that read and write files.
const OF_FILES: u64 = 16 << 20;

/// Has the process do with one heap where its address space is limited (`ulimit -v`): glibc would set 64 MiB aside for
/// each thread. To be called before there are threads.
pub(crate) fn keep_within_limits() {
    if limit_of(Resource::RLIMIT_AS).is_some() {
        pixmill_codecs::use_one_heap();
    }
}

/// Three quarters of what is free outside, or nine tenths of what the process's own limits leave, in bytes, while so many
/// jobs are at work.
pub(crate) fn memory_to_spare(jobs: usize) -> u64 {
    let Ok(mut system) = System::new() else {
        return UNTOLD;
    };
    system.refresh_memory();
    let this = sysinfo::get_current_pid().ok();
    if let Some(this) = this {
        let memory = ProcessRefreshKind::nothing().with_memory();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[this]), true, memory);
    }
    let process = this.and_then(|this| system.process(this));
    let containers = [
        system.cgroup_limits(),
        process.and_then(Process::cgroup_limits),
    ];
    let outside = containers
        .into_iter()
        .flatten()
        // What only caches files is given up for whoever needs it.
        .map(|limits| limits.total_memory.saturating_sub(limits.rss))
        .chain([system.available_memory()])
        .min()
        .unwrap_or(UNTOLD);
    let spare = three_quarters(outside).max(LEAST);
    let Some(process) = process else { return spare };
    let limits = [Resource::RLIMIT_AS, Resource::RLIMIT_DATA].map(limit_of);
    let Some(limit) = limits.into_iter().flatten().min() else {
        return spare;
    };
    let threads = OF_FILES + OF_A_JOB * u64::try_from(jobs).unwrap_or(u64::from(u32::MAX));
    let taken = process.virtual_memory().saturating_add(threads);
    // Nobody else has a part of it; a tenth is lost between buffers.
    spare.min(limit.saturating_sub(taken) / 10 * 9)
}

fn three_quarters(bytes: u64) -> u64 {
    bytes / 4 * 3
}

/// The limit of this process, in bytes; none where there is none.
fn limit_of(resource: Resource) -> Option<u64> {
    let (soft, _) = getrlimit(resource).ok()?;
    (soft != RLIM_INFINITY).then_some(soft)
}
