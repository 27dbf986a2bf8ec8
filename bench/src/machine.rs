//! What it was measured on: the processor and the system, and nothing that names the machine.

use serde_json::{Value, json};

/// The machine in a line of JSON.
pub(crate) fn described() -> Value {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = sysinfo::System::new().map_or(0, |mut system| {
        system.refresh_memory();
        system.total_memory()
    });
    json!({
        "processor": processor().unwrap_or_else(|| "unknown".to_owned()),
        "cores": cores,
        "memory_bytes": memory,
        "system": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
    })
}

fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    named(&text)
}

fn named(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn the_processor_s_name_is_found() {
        let text = "processor\t: 0\nmodel name\t: Fast CPU @ 3 GHz\n";
        assert_eq!(named(text).as_deref(), Some("Fast CPU @ 3 GHz"));
        assert_eq!(named("nothing"), None);
    }
}
